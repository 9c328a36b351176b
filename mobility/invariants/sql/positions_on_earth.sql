-- Every position is finite and on Earth, and none is from the future.
SELECT 'driver ' || driver_id AS where_is FROM mobility_driver_location
WHERE NOT coalesce(ST_X(position) BETWEEN -180 AND 180 AND ST_Y(position) BETWEEN -90 AND 90, false)
    OR recorded_at > received_at + interval '1 minute'
UNION ALL
SELECT 'booking ' || id FROM mobility_booking
WHERE NOT coalesce(ST_X(pickup) BETWEEN -180 AND 180 AND ST_Y(pickup) BETWEEN -90 AND 90
    AND ST_X(dropoff) BETWEEN -180 AND 180 AND ST_Y(dropoff) BETWEEN -90 AND 90, false)
