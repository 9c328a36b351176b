WITH old AS (
    SELECT principal, command_id FROM mobility_command
    WHERE made_at < statement_timestamp() - make_interval(secs => %(keep_days)s * 86400)
    ORDER BY made_at LIMIT %(at_once)s
)
DELETE FROM mobility_command c USING old WHERE c.principal = old.principal AND c.command_id = old.command_id
RETURNING 1 AS forgotten
