-- A ride has at most one accepted offer, and its driver is bound by it.
SELECT b.id AS booking_id, b.driver_id, b.offer_id, count(o.id) AS accepted, min(o.driver_id) AS accepted_driver_id
FROM mobility_booking b LEFT JOIN mobility_offer o ON o.booking_id = b.id AND o.status = 'accepted'
GROUP BY b.id, b.driver_id, b.offer_id
HAVING count(o.id) > 1 OR b.offer_id IS DISTINCT FROM min(o.id) OR b.driver_id IS DISTINCT FROM min(o.driver_id)
