-- Drivers are asked only for rides that are searched for, and only while they are available.
SELECT o.id AS offer_id, o.booking_id, b.status, d.status AS driver_status FROM mobility_offer o
JOIN mobility_booking b ON b.id = o.booking_id JOIN mobility_driver d ON d.id = o.driver_id
WHERE o.status = 'pending' AND (b.status <> 'pending' OR d.status <> 'available')
