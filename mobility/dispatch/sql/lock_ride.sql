-- The ride's row, locked: the first lock of everything that changes the ride or its offers.
SELECT id, ride_id, passenger_id, status, seq, driver_id, offer_id, vehicle_type, rounds, releases, arrived_at,
    confirmed_at, started_at, search_until, no_show_from, due_at, search_radius_m,
    ST_Y(pickup) AS latitude, ST_X(pickup) AS longitude,
    search_until <= statement_timestamp() AS search_is_over
FROM mobility_booking WHERE id = %(booking_id)s
FOR NO KEY UPDATE
