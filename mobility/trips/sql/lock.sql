SELECT pg_try_advisory_xact_lock(hashtextextended('trip ' || %(booking_id)s, 8067)) AS locked
