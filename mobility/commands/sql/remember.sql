INSERT INTO mobility_command (principal, command_id, digest, answer)
VALUES (%(principal)s, %(command_id)s, %(digest)s, %(answer)s::jsonb)
