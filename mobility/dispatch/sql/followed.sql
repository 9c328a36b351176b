-- Where the drivers of rides under way are, and where each is going: to the pickup, then to the dropoff.
SELECT b.id AS booking_id, b.seq, ST_Y(l.position) AS latitude, ST_X(l.position) AS longitude, l.heading, l.speed,
    l.recorded_at, ST_Y(goal.place) AS goal_latitude, ST_X(goal.place) AS goal_longitude
FROM mobility_booking b
JOIN mobility_driver_location l ON l.driver_id = b.driver_id
CROSS JOIN LATERAL (SELECT CASE b.status WHEN 'confirmed' THEN b.pickup ELSE b.dropoff END) AS goal (place)
WHERE b.id = ANY (%(booking_ids)s) AND b.status IN ('confirmed', 'in_progress')
