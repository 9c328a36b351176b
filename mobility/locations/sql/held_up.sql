-- Which of these drivers' live rows another transaction holds at this moment. Nobody is waited for, and what this locks
-- is free again at its end.
WITH free AS MATERIALIZED (
    SELECT driver_id FROM mobility_driver_location WHERE driver_id = ANY(%(driver_ids)s::bigint[])
    FOR NO KEY UPDATE SKIP LOCKED
)
SELECT driver_id FROM mobility_driver_location
WHERE driver_id = ANY(%(driver_ids)s::bigint[]) AND driver_id NOT IN (SELECT driver_id FROM free)
