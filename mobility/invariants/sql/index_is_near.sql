-- The spatial indexes have every driver within 75 m of where they are.
SELECT driver_id, ST_DistanceSphere(position, indexed_position) AS metres FROM mobility_driver_location
WHERE coalesce(ST_DistanceSphere(position, indexed_position) > 75, true)
