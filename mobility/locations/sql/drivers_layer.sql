-- Drivers and where they are, by id; `only` one. With a box or a time asked for, only those who have told a position,
-- or with `placeless` those who have not as well. The spatial index has drivers beside their position, so it is asked for a wider
-- box, and the position decides, as numbers: ST_Intersects with a polygon takes 2 us for each. The cards are properties as
-- text, made ahead (drivers/sql/card_v1.sql).
SELECT d.id, l.position AS geom, d.personal_card, d.card, d.shown_name AS name, mobility_masked_phone(d.phone) AS phone,
    d.vehicle_type, d.vehicle_registration, d.status, d.rating, d.total_rides, d.verified, d.stationary,
    d.status <> 'offline' AND NOT d.stationary AND (
        l.driver_id IS NULL
        OR least(l.recorded_at, l.received_at) 
            <= (SELECT statement_timestamp() - make_interval(secs => %(stale_after_s)s))
    ) AS silent,
    l.heading, l.speed, l.recorded_at, l.received_at
FROM mobility_driver d
LEFT JOIN mobility_driver_location l ON l.driver_id = d.id
WHERE (%(after)s::bigint IS NULL OR d.id > %(after)s::bigint)
    AND (%(only)s::bigint IS NULL OR d.id = %(only)s::bigint)
    AND (%(statuses)s::text[] IS NULL OR d.status = ANY (%(statuses)s::text[]))
    AND (%(begin)s::timestamptz IS NULL OR l.recorded_at >= %(begin)s::timestamptz
        OR %(placeless)s AND l.driver_id IS NULL)
    AND (%(end)s::timestamptz IS NULL OR l.recorded_at <= %(end)s::timestamptz OR %(placeless)s AND l.driver_id IS NULL)
    AND (%(box_a)s::geometry IS NULL OR %(placeless)s AND l.driver_id IS NULL
        OR (l.indexed_position && %(wide_a)s::geometry OR l.indexed_position && %(wide_b)s::geometry)
            AND (ST_X(l.position) BETWEEN ST_XMin(%(box_a)s::geometry) AND ST_XMax(%(box_a)s::geometry)
                    AND ST_Y(l.position) BETWEEN ST_YMin(%(box_a)s::geometry) AND ST_YMax(%(box_a)s::geometry)
                OR ST_X(l.position) BETWEEN ST_XMin(%(box_b)s::geometry) AND ST_XMax(%(box_b)s::geometry)
                    AND ST_Y(l.position) BETWEEN ST_YMin(%(box_b)s::geometry) AND ST_YMax(%(box_b)s::geometry)))
    AND (%(radius_m)s::float8 IS NULL
        OR (l.indexed_position && %(near_a)s::geometry OR l.indexed_position && %(near_b)s::geometry)
            AND ST_DWithin(l.position::geography,
                ST_MakePoint(%(near_longitude)s::float8, %(near_latitude)s::float8)::geography, %(radius_m)s::float8))
ORDER BY d.id
LIMIT %(limit)s::bigint
