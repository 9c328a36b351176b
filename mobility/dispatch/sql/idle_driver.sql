-- Where a driver is who could be asked right now; no row for one who could not.
SELECT d.id AS driver_id, d.user_id, l.vehicle_type, ST_Y(l.position) AS latitude, ST_X(l.position) AS longitude
FROM mobility_driver d
JOIN mobility_driver_location l ON l.driver_id = d.id
JOIN mobility_user u ON u.id = d.user_id AND u.is_active
WHERE d.id = %(driver_id)s AND l.dispatchable
    AND (l.stationary
        OR least(l.recorded_at, l.received_at) > statement_timestamp() - make_interval(secs => %(stale_after_s)s))
    AND NOT EXISTS (SELECT FROM mobility_offer o WHERE o.driver_id = d.id AND o.status = 'pending')
    AND (NOT %(asking)s OR d.auto_accept
        OR (SELECT p.lease_until FROM mobility_driver_presence p WHERE p.driver_id = d.id) > statement_timestamp())
