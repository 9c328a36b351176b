-- What a tile tells of the drivers in a box: as drivers_layer.sql, from the positions alone, beside which all of it stands.
-- In the order of ids, so that a tile with too many drivers has the same ones whenever it is drawn. Boxes are compared in single
-- precision, which is a hand's breadth: here they end in the margin that a tile draws around itself.
SELECT l.driver_id AS id, l.position AS geom, l.vehicle_type, l.verified, l.stationary, l.status,
    l.status <> 'offline' AND NOT l.stationary AND least(l.recorded_at, l.received_at)
        <= (SELECT statement_timestamp() - make_interval(secs => %(stale_after_s)s)) AS silent,
    l.heading, l.speed, l.recorded_at
FROM mobility_driver_location l
WHERE (l.indexed_position && %(wide_a)s::geometry OR l.indexed_position && %(wide_b)s::geometry)
    AND l.position && %(box_a)s::geometry
ORDER BY l.driver_id
LIMIT %(limit)s::bigint
