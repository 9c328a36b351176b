WITH old AS (
    SELECT key FROM mobility_geocode_answer
    WHERE made_at <= statement_timestamp() - make_interval(secs => %(keep_days)s * 86400)
    ORDER BY made_at LIMIT %(at_once)s
)
DELETE FROM mobility_geocode_answer a USING old WHERE a.key = old.key
RETURNING 1 AS forgotten
