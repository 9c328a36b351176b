-- A ride as the driver sees it whom it was offered to. Who and where the passenger is, is theirs to know while they are
-- being asked or hold the ride, and no longer.
SELECT o.id AS offer_id, o.driver_id, o.status AS offer_status, o.pickup_distance_m, o.delivered_at, o.expires_at,
    b.id AS booking_id, b.ride_id, b.status, b.seq, own.theirs,
    CASE WHEN own.theirs THEN CASE WHEN u.id IS NULL THEN 'Guest' ELSE {{people/sql/display_name}} END END
        AS passenger_name,
    CASE WHEN own.theirs THEN coalesce(nullif(b.passenger_phone, ''), u.phone, '') END AS passenger_phone,
    CASE WHEN own.theirs THEN b.pickup_address END AS pickup_address,
    CASE WHEN own.theirs THEN b.dropoff_address END AS dropoff_address,
    CASE WHEN own.theirs THEN b.notes END AS notes,
    ST_Y(b.pickup) AS pickup_latitude, ST_X(b.pickup) AS pickup_longitude,
    ST_Y(b.dropoff) AS dropoff_latitude, ST_X(b.dropoff) AS dropoff_longitude,
    b.distance_m, b.duration_s, b.fare_minor, b.fare_currency, b.fare_origin, b.vehicle_type,
    b.confirmed_at, b.arrived_at, b.started_at, b.no_show_from
FROM mobility_offer o
JOIN mobility_booking b ON b.id = o.booking_id
LEFT JOIN mobility_user u ON u.id = b.passenger_id
CROSS JOIN LATERAL (
    SELECT o.status = 'pending'
        OR (b.offer_id = o.id AND b.status IN ('confirmed', 'in_progress')) AS theirs
) own
