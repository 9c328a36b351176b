-- Is a driver on duty in a cell of the grid that touches the reach of this search? Answered by cells alone: where in its cell
-- a driver is makes no difference, and neither does what the driver answered to this ride. Only who was bound for it and
-- gave it back is left out: where they were has been told. Whoever is in reach exactly is in such a cell. Each half has a
-- partial index of its own (free drivers, all others); `around_m` takes in every cell that could touch. Materialized: a polygon
-- a cell, not a driver.
WITH around AS MATERIALIZED (
    SELECT mobility_hex_of(l.position, %(cell_m)s) AS cell
    FROM mobility_driver_location l JOIN mobility_driver d ON d.id = l.driver_id
    JOIN mobility_user u ON u.id = d.user_id AND u.is_active
    WHERE l.dispatchable
        AND ST_DWithin(l.indexed_position::geography, ST_MakePoint(%(longitude)s, %(latitude)s)::geography, %(around_m)s)
        AND (l.stationary
            OR least(l.recorded_at, l.received_at) > statement_timestamp() - make_interval(secs => %(stale_after_s)s))
        AND (%(vehicle_type)s::text IS NULL OR l.vehicle_type = %(vehicle_type)s)
        AND d.user_id IS DISTINCT FROM %(passenger_id)s
        AND d.id <> ALL (ARRAY({{gave_back}}))
        AND (NOT %(asking)s OR d.auto_accept
            OR (SELECT p.lease_until FROM mobility_driver_presence p WHERE p.driver_id = d.id) > statement_timestamp())
    UNION
    SELECT mobility_hex_of(l.position, %(cell_m)s)
    FROM mobility_driver_location l JOIN mobility_driver d ON d.id = l.driver_id
    JOIN mobility_user u ON u.id = d.user_id AND u.is_active
    WHERE NOT l.dispatchable AND d.status = 'busy' AND d.verified
        AND ST_DWithin(l.indexed_position::geography, ST_MakePoint(%(longitude)s, %(latitude)s)::geography, %(around_m)s)
        AND (l.stationary
            OR least(l.recorded_at, l.received_at) > statement_timestamp() - make_interval(secs => %(stale_after_s)s))
        AND (%(vehicle_type)s::text IS NULL OR l.vehicle_type = %(vehicle_type)s)
        AND d.user_id IS DISTINCT FROM %(passenger_id)s
        AND d.id <> ALL (ARRAY({{gave_back}}))
)
SELECT EXISTS (
    SELECT FROM around
    WHERE ST_DWithin(mobility_hex_cell(cell, %(cell_m)s)::geography, ST_MakePoint(%(longitude)s, %(latitude)s)::geography,
        %(radius_m)s::float8 + %(slack_m)s::float8)
) AS anybody
