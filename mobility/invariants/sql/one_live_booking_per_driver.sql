-- A driver holds at most one live booking.
SELECT driver_id, count(*) AS bookings, min(id) AS first_booking_id FROM mobility_booking
WHERE status IN ('confirmed', 'in_progress') GROUP BY driver_id HAVING count(*) > 1
