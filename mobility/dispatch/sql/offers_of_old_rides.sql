-- Rides of before offers existed: whoever drives or drove them is as if bound by the setting, and who lives is due now.
INSERT INTO mobility_offer (
    booking_id, driver_id, round, status, origin, pickup_distance_m, offered_at, delivered_at, settled_at)
SELECT b.id, b.driver_id, 0, 'accepted', 'auto_assign', (e.payload ->> 'pickup_distance_m')::double precision,
    coalesce(b.confirmed_at, b.requested_at), coalesce(b.confirmed_at, b.requested_at),
    coalesce(b.confirmed_at, b.requested_at)
FROM mobility_booking b
LEFT JOIN LATERAL (
    SELECT payload FROM mobility_ride_event WHERE booking_id = b.id AND event = 'driver_assigned'
    ORDER BY seq DESC LIMIT 1
) e ON true
WHERE b.driver_id IS NOT NULL;

UPDATE mobility_booking b SET
    offer_id = (SELECT id FROM mobility_offer o WHERE o.booking_id = b.id AND o.status = 'accepted'),
    due_at = CASE WHEN b.status IN ('pending', 'confirmed', 'in_progress') THEN statement_timestamp() END,
    no_show_from = b.arrived_at + interval '300 seconds';

-- The foreign keys' checks of the new rows, which would stand in the way of changes to the tables.
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
