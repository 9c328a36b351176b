-- An hour that could not be counted is due again later, and keeps no other waiting.
INSERT INTO mobility_demand_made AS m (hour, made_at, changed_at, due_at)
VALUES (%(hour)s, %(hour)s, %(hour)s, statement_timestamp() + make_interval(secs => %(for_s)s))
ON CONFLICT (hour) DO UPDATE SET due_at = EXCLUDED.due_at
