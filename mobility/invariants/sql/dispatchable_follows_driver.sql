-- The matching index holds exactly the available, verified drivers who are not silent, each with their own vehicle type.
SELECT d.id AS driver_id, d.status, d.verified, l.stale, l.dispatchable FROM mobility_driver d
JOIN mobility_driver_location l ON l.driver_id = d.id
WHERE l.dispatchable <> (d.status = 'available' AND d.verified AND NOT l.stale) OR (l.stale AND l.stationary)
    OR (l.status, l.verified, l.vehicle_type, l.stationary) <> (d.status, d.verified, d.vehicle_type, d.stationary)
