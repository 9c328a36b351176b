-- Is there a driver on duty in reach who might still take this ride: busy now, asked elsewhere, or locked this moment?
-- Each half has a partial index of its own (free drivers, all others).
SELECT EXISTS (
    SELECT FROM mobility_driver_location l JOIN mobility_driver d ON d.id = l.driver_id
    JOIN mobility_user u ON u.id = d.user_id AND u.is_active
    WHERE l.dispatchable
        AND ST_DWithin(l.indexed_position::geography, ST_MakePoint(%(longitude)s, %(latitude)s)::geography,
            %(radius_m)s::float8 + %(slack_m)s::float8)
        AND ST_DWithin(l.position::geography, ST_MakePoint(%(longitude)s, %(latitude)s)::geography, %(radius_m)s)
        AND (l.stationary
            OR least(l.recorded_at, l.received_at) > statement_timestamp() - make_interval(secs => %(stale_after_s)s))
        AND (%(vehicle_type)s::text IS NULL OR l.vehicle_type = %(vehicle_type)s)
        AND d.user_id IS DISTINCT FROM %(passenger_id)s
        AND d.id <> ALL (ARRAY({{not_again}}))
        AND (NOT %(asking)s OR d.auto_accept
            OR (SELECT p.lease_until FROM mobility_driver_presence p WHERE p.driver_id = d.id) > statement_timestamp())
) OR EXISTS (
    SELECT FROM mobility_driver_location l JOIN mobility_driver d ON d.id = l.driver_id
    JOIN mobility_user u ON u.id = d.user_id AND u.is_active
    WHERE NOT l.dispatchable AND d.status = 'busy' AND d.verified
        AND ST_DWithin(l.indexed_position::geography, ST_MakePoint(%(longitude)s, %(latitude)s)::geography,
            %(radius_m)s::float8 + %(slack_m)s::float8)
        AND ST_DWithin(l.position::geography, ST_MakePoint(%(longitude)s, %(latitude)s)::geography, %(radius_m)s)
        AND (l.stationary
            OR least(l.recorded_at, l.received_at) > statement_timestamp() - make_interval(secs => %(stale_after_s)s))
        AND (%(vehicle_type)s::text IS NULL OR l.vehicle_type = %(vehicle_type)s)
        AND d.user_id IS DISTINCT FROM %(passenger_id)s
        AND d.id <> ALL (ARRAY({{not_again}}))
) AS anybody
