SELECT pg_try_advisory_xact_lock(hashtextextended('published', 8067)) AS locked
