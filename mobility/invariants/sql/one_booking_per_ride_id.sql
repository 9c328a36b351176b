-- A passenger's ride id names one booking; a guest's names one that isn't over.
SELECT passenger_id, count(*) AS bookings, min(id) AS first_booking_id FROM mobility_booking
WHERE passenger_id IS NOT NULL OR status NOT IN ('completed', 'cancelled', 'no_show')
GROUP BY passenger_id, ride_id HAVING count(*) > 1
