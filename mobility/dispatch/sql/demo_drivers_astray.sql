-- Seed drivers whose app was connected once and has gone, and who are no longer as the demonstration needs them.
SELECT u.username FROM mobility_driver d JOIN mobility_user u ON u.id = d.user_id
JOIN mobility_driver_presence p ON p.driver_id = d.id AND p.lease_until <= statement_timestamp()
WHERE d.is_demo AND d.status <> 'busy' AND NOT (d.auto_accept AND d.stationary AND d.status = 'available')
