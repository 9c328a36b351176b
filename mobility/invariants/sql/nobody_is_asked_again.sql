-- A driver who declined, let it run out or gave the ride back is not asked again for that ride.
SELECT o.id AS offer_id, o.booking_id, o.driver_id, e.id AS earlier_offer_id FROM mobility_offer o
JOIN mobility_offer e ON e.booking_id = o.booking_id AND e.driver_id = o.driver_id AND e.id < o.id
WHERE o.origin <> 'operator' AND e.status IN ('declined', 'expired', 'released')
