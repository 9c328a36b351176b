-- One ride as its passenger sees it now, with the driver's card where one is bound.
SELECT b.id AS booking_id, b.ride_id, b.status, b.seq,
    ST_Y(b.pickup) AS pickup_latitude, ST_X(b.pickup) AS pickup_longitude, b.pickup_address,
    ST_Y(b.dropoff) AS dropoff_latitude, ST_X(b.dropoff) AS dropoff_longitude, b.dropoff_address,
    b.distance_m, b.duration_s, b.fare_minor, b.fare_currency, b.fare_origin, b.vehicle_type AS wanted_vehicle_type,
    b.requested_at, b.confirmed_at, b.arrived_at, b.started_at, b.completed_at, b.unfulfilled_at, b.no_show_at,
    b.cancelled_at, b.cancelled_by, b.cancellation_reason,
    CASE b.status WHEN 'pending' THEN b.search_started_at WHEN 'unfulfilled' THEN b.unfulfilled_at
        ELSE coalesce(b.confirmed_at, b.requested_at) END AS occurred_at,
    {{driver_card}}
FROM mobility_booking b
LEFT JOIN mobility_driver d ON d.id = b.driver_id
LEFT JOIN mobility_user u ON u.id = d.user_id
LEFT JOIN mobility_driver_location l ON l.driver_id = d.id
WHERE b.id = %(booking_id)s
