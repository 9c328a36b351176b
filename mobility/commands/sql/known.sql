SELECT digest, answer::text AS answer FROM mobility_command
WHERE principal = %(principal)s AND command_id = %(command_id)s
