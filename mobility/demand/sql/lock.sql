SELECT pg_try_advisory_xact_lock(hashtextextended('demand', 8067)) AS locked
