-- Written only where it is another one: this is done again and again.
INSERT INTO mobility_knob AS k (name, value) VALUES (%(name)s, %(value)s)
ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value, told_at = statement_timestamp()
WHERE k.value IS DISTINCT FROM EXCLUDED.value
