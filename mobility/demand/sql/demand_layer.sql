-- Demand by hexagon and hour, in the order of (hour, id). Parameters are put in as literals.
--   size_m               which hexagons: one of mobility.demand.models.SIZES_M
--   begin, end           hours that begin in [begin, end); null: open
--   box_a, box_b         what meets either of two geometries of degrees, SRID 4326; both null: everywhere
--   after_hour, after_id only what comes after this one; null: from the start
--   only                 the one with this id; null: all
--   limit                null: all
--   suppress, min_count  for readers who must not learn about single persons: hours that are over, counts by
--                        mobility_coarse_count; what shows no count is left out
-- `id` is of one cell and hour among hexagons of one size: the hour since 2000 before the 33 bits of the cell's number.
SELECT ((extract(epoch FROM shown.hour)::bigint - 946684800) / 3600 << 33) + shown.cell AS id, shown.geom, shown.cell,
    shown.hour, shown.requests, shown.unfulfilled, shown.idle_drivers
FROM (
    SELECT h.hour, h.cell, mobility_hex_cell(h.cell, h.size_m) AS geom,
        CASE WHEN %(suppress)s THEN mobility_coarse_count(h.requests, %(min_count)s) ELSE h.requests END AS requests,
        CASE WHEN %(suppress)s THEN mobility_coarse_count(h.unfulfilled, %(min_count)s) ELSE h.unfulfilled
            END AS unfulfilled,
        CASE WHEN %(suppress)s THEN mobility_coarse_count(h.idle_drivers, %(min_count)s) ELSE h.idle_drivers
            END AS idle_drivers
    FROM mobility_demand_hour h
    WHERE h.size_m = %(size_m)s::integer
        AND (%(begin)s::timestamptz IS NULL OR h.hour >= %(begin)s::timestamptz)
        AND (%(end)s::timestamptz IS NULL OR h.hour < %(end)s::timestamptz)
        AND (%(after_hour)s::timestamptz IS NULL
            OR (h.hour, h.cell) > (%(after_hour)s::timestamptz, %(after_id)s::bigint & 8589934591))
        AND (%(only)s::bigint IS NULL
            OR h.hour = to_timestamp(946684800 + 3600 * (%(only)s::bigint >> 33))
                AND h.cell = (%(only)s::bigint & 8589934591))
        AND (%(box_a)s::geometry IS NULL AND %(box_b)s::geometry IS NULL
            OR h.cell BETWEEN least(
                    (mobility_hex_reach(%(box_a)s::geometry, %(size_m)s::integer))[1],
                    (mobility_hex_reach(%(box_b)s::geometry, %(size_m)s::integer))[1])
                AND greatest(
                    (mobility_hex_reach(%(box_a)s::geometry, %(size_m)s::integer))[2],
                    (mobility_hex_reach(%(box_b)s::geometry, %(size_m)s::integer))[2])
            AND (h.cell & 131071 BETWEEN (mobility_hex_reach(%(box_a)s::geometry, %(size_m)s::integer))[3]
                    AND (mobility_hex_reach(%(box_a)s::geometry, %(size_m)s::integer))[4]
                AND ST_Intersects(mobility_hex_cell(h.cell, h.size_m), %(box_a)s::geometry)
                OR h.cell & 131071 BETWEEN (mobility_hex_reach(%(box_b)s::geometry, %(size_m)s::integer))[3]
                    AND (mobility_hex_reach(%(box_b)s::geometry, %(size_m)s::integer))[4]
                AND ST_Intersects(mobility_hex_cell(h.cell, h.size_m), %(box_b)s::geometry)))
        AND (NOT %(suppress)s
            -- An hour that was last counted before its end is not over.
            OR h.hour <> ALL (ARRAY(
                SELECT m.hour FROM mobility_demand_made m
                WHERE m.due_at IS NOT NULL AND m.made_at < m.hour + interval '1 hour'))
            AND greatest(h.requests, h.unfulfilled, h.idle_drivers) >= %(min_count)s::integer)
    ORDER BY h.hour, h.cell
    LIMIT %(limit)s::bigint
) shown
ORDER BY shown.hour, shown.cell
