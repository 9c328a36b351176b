-- Service areas, by id; with `active` null all of them, `only` one. An area is there from `created_at` on, so whatever `begin`
-- is, the ones made by the `end` of a time are there in it.
SELECT a.id, a.area AS geom, a.name, a.active, a.matching_radius_m, a.created_at, a.updated_at
FROM mobility_service_area a
WHERE (%(after)s::bigint IS NULL OR a.id > %(after)s::bigint)
    AND (%(only)s::bigint IS NULL OR a.id = %(only)s::bigint)
    AND (%(end)s::timestamptz IS NULL OR a.created_at <= %(end)s::timestamptz)
    AND (%(active)s::boolean IS NULL OR a.active = %(active)s::boolean)
    AND (%(box_a)s::geometry IS NULL
        OR ST_Intersects(a.area, %(box_a)s::geometry) OR ST_Intersects(a.area, %(box_b)s::geometry))
    AND (%(radius_m)s::float8 IS NULL
        OR ST_DWithin(a.area::geography,
            ST_MakePoint(%(near_longitude)s::float8, %(near_latitude)s::float8)::geography, %(radius_m)s::float8))
ORDER BY a.id
LIMIT %(limit)s::bigint
