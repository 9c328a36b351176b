WITH old AS (
    SELECT booking_id, round FROM mobility_search_round
    WHERE made_at < statement_timestamp() - make_interval(secs => %(keep_days)s * 86400)
    ORDER BY made_at LIMIT %(at_once)s
), considered AS (
    DELETE FROM mobility_search_considered c USING old WHERE c.booking_id = old.booking_id AND c.round = old.round
)
DELETE FROM mobility_search_round r USING old WHERE r.booking_id = old.booking_id AND r.round = old.round
RETURNING r.booking_id
