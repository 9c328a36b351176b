-- A booking's driver is the one its log assigned last, and none where the log released them.
SELECT b.id AS booking_id, b.status, b.driver_id, e.event, e.payload ->> 'driver_id' AS logged_driver_id
FROM mobility_booking b
LEFT JOIN LATERAL (
    SELECT event, payload FROM mobility_ride_event
    WHERE booking_id = b.id AND event IN ('driver_assigned', 'driver_released') ORDER BY seq DESC LIMIT 1
) e ON true
WHERE b.driver_id IS DISTINCT FROM (CASE WHEN e.event = 'driver_assigned' THEN (e.payload ->> 'driver_id')::bigint END)
