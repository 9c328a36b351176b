-- Nobody is matched to themselves.
SELECT b.id AS booking_id, b.driver_id FROM mobility_booking b
JOIN mobility_driver d ON d.id = b.driver_id AND d.user_id = b.passenger_id
