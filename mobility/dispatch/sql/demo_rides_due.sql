-- Rides of seed drivers without a connected app, confirmed long enough ago.
SELECT b.id FROM mobility_booking b JOIN mobility_driver d ON d.id = b.driver_id AND d.is_demo
WHERE b.status IN ('confirmed', 'in_progress')
    AND b.confirmed_at <= statement_timestamp() - make_interval(secs => %(after_s)s)
    AND coalesce((SELECT p.lease_until FROM mobility_driver_presence p WHERE p.driver_id = d.id)
        <= statement_timestamp(), true)
