id, ride_id, passenger_id, status, seq, driver_id, offer_id, vehicle_type, rounds, releases, arrived_at,
    confirmed_at, started_at, search_until, no_show_from, due_at, search_radius_m, request_digest,
    ST_Y(pickup) AS latitude, ST_X(pickup) AS longitude,
    search_until <= statement_timestamp() AS search_is_over,
    no_show_from <= statement_timestamp() AS no_show_counts
