-- Metres from the newest position of a ride's driver to its pickup; no row where no position was ever told.
SELECT ST_Distance(l.position::geography, b.pickup::geography) AS distance_m
FROM mobility_booking b JOIN mobility_driver_location l ON l.driver_id = b.driver_id
WHERE b.id = %(booking_id)s
