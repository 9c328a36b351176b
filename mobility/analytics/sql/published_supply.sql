-- Publish the idle drivers of a day, by hexagon and hour, out of the counts of demand. No total stands beside them.
WITH counted AS MATERIALIZED (
    SELECT hour, cell, idle_drivers FROM mobility_demand_hour
    WHERE size_m = %(hexagon_m)s AND hour >= date_trunc('hour', %(at)s::timestamptz, 'UTC') AND hour < %(until)s
        -- An hour across midnight, where the zone is not whole hours from UTC, belongs to the day it begins in.
        AND (hour AT TIME ZONE %(zone)s)::date = %(begins)s AND idle_drivers >= %(min_people)s
), shape AS (
    INSERT INTO mobility_published_hexagon (cell, geom)
    SELECT cell, mobility_hex_cell(cell, %(hexagon_m)s::integer) FROM (SELECT DISTINCT cell FROM counted) seen
    ORDER BY cell
    ON CONFLICT DO NOTHING
), told AS (
    INSERT INTO mobility_published_supply (period, hour, cell, idle_drivers)
    SELECT %(begins)s, hour, cell, mobility_coarse_count(idle_drivers, 10) FROM counted ORDER BY hour, cell
    RETURNING 1
)
SELECT count(*) AS numbers FROM told
