-- The ride that is due longest, locked; one whom another process works on is passed over.
SELECT id, ride_id, passenger_id, status, seq, driver_id, offer_id, vehicle_type, rounds, releases, arrived_at,
    confirmed_at, started_at, search_until, no_show_from, due_at, search_radius_m,
    ST_Y(pickup) AS latitude, ST_X(pickup) AS longitude,
    search_until <= statement_timestamp() AS search_is_over
FROM mobility_booking WHERE due_at <= statement_timestamp()
ORDER BY due_at LIMIT 1
FOR NO KEY UPDATE SKIP LOCKED
