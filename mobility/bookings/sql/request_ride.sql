-- A new booking and its first log row, or no row at all where a unique index says that it would be a second one.
WITH booked AS (
    INSERT INTO mobility_booking (
        ride_id, passenger_id, passenger_phone, status, seq, pickup, pickup_address, dropoff, dropoff_address,
        vehicle_type, notes, distance_m, distance_origin, duration_s, fare_minor, fare_currency, fare_origin,
        request_digest, cancellation_reason, search_until, due_at,
        service_area_id, search_radius_m)
    SELECT %(ride_id)s, %(passenger_id)s, %(passenger_phone)s, 'pending', 1,
        ST_SetSRID(ST_MakePoint(%(pickup_longitude)s, %(pickup_latitude)s), 4326), %(pickup_address)s,
        ST_SetSRID(ST_MakePoint(%(dropoff_longitude)s, %(dropoff_latitude)s), 4326), %(dropoff_address)s,
        %(vehicle_type)s, %(notes)s, %(distance_m)s, %(distance_origin)s, %(duration_s)s,
        %(fare_minor)s, %(fare_currency)s, %(fare_origin)s, %(request_digest)s, '',
        statement_timestamp() + make_interval(secs => %(search_timeout_s)s), statement_timestamp(),
        %(service_area_id)s, %(search_radius_m)s
    WHERE %(passenger_id)s::bigint IS NULL
        OR EXISTS (SELECT FROM mobility_user WHERE id = %(passenger_id)s AND is_active)
    ON CONFLICT DO NOTHING
    RETURNING id, requested_at
), logged AS (
    INSERT INTO mobility_ride_event (
        booking_id, seq, event, from_status, to_status, actor_id, actor_role, occurred_at, payload)
    SELECT id, 1, 'ride_requested', '', 'pending', %(passenger_id)s, 'passenger', requested_at, '{}'
    FROM booked
)
SELECT id, requested_at FROM booked
