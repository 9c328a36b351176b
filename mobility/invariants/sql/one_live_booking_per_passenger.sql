-- A passenger has at most one live booking.
SELECT passenger_id, count(*) AS bookings, min(id) AS first_booking_id FROM mobility_booking
WHERE passenger_id IS NOT NULL AND status IN ('pending', 'confirmed', 'in_progress')
GROUP BY passenger_id HAVING count(*) > 1
