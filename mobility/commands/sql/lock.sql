SELECT pg_advisory_xact_lock(hashtextextended(%(principal)s || ' ' || %(command_id)s, 8067))::text AS locked
