-- In one order, so that two servers that have the same commands wait for each other one way round only.
INSERT INTO mobility_command (principal, command_id, digest, answer)
SELECT c.principal, c.command_id, c.digest, c.answer::jsonb
FROM unnest(%(principals)s::text[], %(command_ids)s::text[], %(digests)s::text[], %(answers)s::text[])
    AS c (principal, command_id, digest, answer)
ORDER BY c.principal, c.command_id
ON CONFLICT (principal, command_id) DO NOTHING
RETURNING principal, command_id
