-- The first so many of these drivers who can be had at once, their rows locked; one whom another transaction is asking
-- or binding is passed over (SKIP LOCKED). The caller holds the ride's row: ride first, then drivers.
SELECT d.id
FROM unnest(%(driver_ids)s::bigint[]) WITH ORDINALITY AS wanted (driver_id, place)
JOIN mobility_driver d ON d.id = wanted.driver_id
WHERE d.status = 'available' AND d.verified
    AND EXISTS (SELECT FROM mobility_user u WHERE u.id = d.user_id AND u.is_active)
ORDER BY wanted.place
LIMIT %(places)s
FOR NO KEY UPDATE OF d SKIP LOCKED
