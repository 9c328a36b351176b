-- Drivers who were silent and have a fresh position now can be matched again, if they are free. The driver's row is locked
-- first and the position second, like everywhere; what others hold is passed over until the next position.
WITH drivers AS MATERIALIZED (
    SELECT id, status, verified FROM mobility_driver
    WHERE id = ANY (%(driver_ids)s)
    ORDER BY id
    FOR NO KEY UPDATE SKIP LOCKED
), places AS MATERIALIZED (
    SELECT driver_id FROM mobility_driver_location
    WHERE driver_id IN (SELECT id FROM drivers) AND stale
        AND least(recorded_at, received_at) > statement_timestamp() - make_interval(secs => %(stale_after_s)s)
    ORDER BY driver_id
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE mobility_driver_location l
SET stale = false, dispatchable = d.status = 'available' AND d.verified
FROM places p JOIN drivers d ON d.id = p.driver_id
WHERE l.driver_id = p.driver_id
RETURNING l.driver_id
