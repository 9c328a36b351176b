-- Rides, newest first; `user_id` those of one passenger, null everybody's; `only` one of them. A ride's place is the line from pickup to dropoff.
SELECT b.id, mobility_ride_line(b.pickup, b.dropoff) AS geom, b.ride_id, b.status, b.seq,
    mobility_masked_phone(b.passenger_phone) AS passenger_phone,
    CASE WHEN d.id IS NOT NULL THEN json_build_object(
        'id', d.id, 'name', {{people/sql/display_name}}, 'phone', mobility_masked_phone(d.phone),
        'vehicle_type', d.vehicle_type, 'vehicle_registration', d.vehicle_registration, 'rating', d.rating) END AS driver,
    b.driver_id, b.pickup_address, b.dropoff_address, b.vehicle_type, b.notes, b.distance_m, b.distance_origin, b.duration_s,
    b.fare_minor / 100.0::float8 AS fare_amount, b.fare_currency, b.fare_origin, b.requested_at, b.search_until,
    b.confirmed_at, b.arrived_at, b.no_show_from, b.started_at, b.completed_at, b.unfulfilled_at, b.no_show_at,
    b.cancelled_at, b.cancelled_by, b.cancellation_reason, b.attention_since
FROM mobility_booking b
LEFT JOIN mobility_driver d ON d.id = b.driver_id
LEFT JOIN mobility_user u ON u.id = d.user_id
WHERE (%(user_id)s::bigint IS NULL OR b.passenger_id = %(user_id)s::bigint)
    AND (%(before_at)s::timestamptz IS NULL
        OR (b.requested_at, b.id) < (%(before_at)s::timestamptz, %(before_id)s::bigint))
    AND (%(only)s::bigint IS NULL OR b.id = %(only)s::bigint)
    AND (%(statuses)s::text[] IS NULL OR b.status = ANY (%(statuses)s::text[]))
    AND (%(attention)s::boolean IS NULL OR %(attention)s::boolean
        = (b.attention_since IS NOT NULL AND b.status IN ('confirmed', 'in_progress')))
    AND (%(begin)s::timestamptz IS NULL OR b.requested_at >= %(begin)s::timestamptz)
    AND (%(end)s::timestamptz IS NULL OR b.requested_at <= %(end)s::timestamptz)
    AND (%(box_a)s::geometry IS NULL
        OR ST_Intersects(mobility_ride_line(b.pickup, b.dropoff), %(box_a)s::geometry)
        OR ST_Intersects(mobility_ride_line(b.pickup, b.dropoff), %(box_b)s::geometry))
    AND (%(radius_m)s::float8 IS NULL
        OR (mobility_ride_line(b.pickup, b.dropoff) && %(near_a)s::geometry
                OR mobility_ride_line(b.pickup, b.dropoff) && %(near_b)s::geometry)
            AND ST_DWithin(mobility_ride_line(b.pickup, b.dropoff)::geography,
                ST_MakePoint(%(near_longitude)s::float8, %(near_latitude)s::float8)::geography, %(radius_m)s::float8))
ORDER BY b.requested_at DESC, b.id DESC
LIMIT %(limit)s::bigint
