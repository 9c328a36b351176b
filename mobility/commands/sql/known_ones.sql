SELECT c.principal, c.command_id, c.digest, c.answer::text AS answer
FROM unnest(%(principals)s::text[], %(command_ids)s::text[]) AS asked (principal, command_id)
JOIN mobility_command c USING (principal, command_id)
