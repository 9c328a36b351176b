-- Everything that follows from a picked driver: booking confirmed, driver busy, log row, and what the passenger is told.
confirmed AS (
    UPDATE mobility_booking b
    SET status = 'confirmed', seq = b.seq + 1, driver_id = picked.id, confirmed_at = statement_timestamp()
    FROM picked
    WHERE b.id = %(booking_id)s AND b.status = 'pending'
    RETURNING b.id, b.seq, b.confirmed_at
), bound AS (
    UPDATE mobility_driver d SET status = 'busy' FROM picked, confirmed WHERE d.id = picked.id
), logged AS (
    INSERT INTO mobility_ride_event (
        booking_id, seq, event, from_status, to_status, actor_id, actor_role, occurred_at, payload)
    SELECT confirmed.id, confirmed.seq, 'driver_assigned', 'pending', 'confirmed', NULL, 'system',
        confirmed.confirmed_at,
        jsonb_build_object('driver_id', picked.id, 'pickup_distance_m', round(picked.distance_m::numeric, 1))
    FROM confirmed, picked
)
SELECT reach.fetched, reach.certain_m, picked.id AS driver_id, picked.distance_m, confirmed.seq,
    confirmed.confirmed_at AS occurred_at, picked.phone, picked.vehicle_type, picked.vehicle_registration,
    picked.rating, {{people/sql/display_name}} AS name,
    ST_Y(picked.position) AS latitude, ST_X(picked.position) AS longitude
FROM reach
LEFT JOIN picked ON true
LEFT JOIN confirmed ON true
LEFT JOIN mobility_user u ON u.id = picked.user_id
