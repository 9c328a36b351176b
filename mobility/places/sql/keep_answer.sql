INSERT INTO mobility_geocode_answer (key, answer) VALUES (%(key)s, %(answer)s::jsonb)
ON CONFLICT (key) DO UPDATE SET answer = EXCLUDED.answer, made_at = statement_timestamp()
