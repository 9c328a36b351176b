-- Where one driver was, by the device's clock; `jump` tells the positions that a track leaves out.
SELECT (extract(epoch FROM f.recorded_at) * 1000000)::bigint AS id, f.position AS geom, f.recorded_at, f.received_at,
    f.heading, f.speed, f.accuracy_m, f.door, f.jump
FROM mobility_driver_fixes(
    %(driver_id)s::bigint, greatest(%(begin)s::timestamptz, %(after)s::timestamptz), %(end)s::timestamptz, %(jump_km_h)s::float8
) f
WHERE (%(after)s::timestamptz IS NULL OR f.recorded_at > %(after)s::timestamptz)
    AND (%(box_a)s::geometry IS NULL
        OR ST_Intersects(f.position, %(box_a)s::geometry) OR ST_Intersects(f.position, %(box_b)s::geometry))
ORDER BY f.recorded_at
LIMIT %(limit)s::bigint
