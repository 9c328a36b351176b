-- assign_nearest.sql for the case that every driver in reach was passed over: waits for their rows, nearest first.
WITH {{candidates}}, picked AS (
    SELECT d.id, d.user_id, d.phone, d.vehicle_type, d.vehicle_registration, d.rating, c.distance_m, c.position
    FROM candidates c JOIN mobility_driver d ON d.id = c.driver_id
    WHERE d.status = 'available' AND d.verified AND c.distance_m <= (SELECT certain_m FROM reach)
    ORDER BY c.distance_m, c.driver_id
    LIMIT 1
    FOR NO KEY UPDATE OF d
), {{bind_picked}}
