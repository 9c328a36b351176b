-- A driver is busy exactly while holding a live booking.
SELECT d.id AS driver_id, d.status, b.id AS booking_id FROM mobility_driver d
LEFT JOIN mobility_booking b ON b.driver_id = d.id AND b.status IN ('confirmed', 'in_progress')
WHERE (d.status = 'busy') <> (b.id IS NOT NULL)
