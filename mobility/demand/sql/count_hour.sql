-- Count one hour, every size of hexagons, and write what differs from what is written.
--   requests      bookings requested in the hour, where their pickup is
--   unfulfilled   of these, who is without a driver: unfulfilled now, or cancelled without one, but for rides that were
--                 cancelled before their search began
--   idle_drivers  different drivers who told a position in the hour while they had no ride (of a ride that was given back
--                 its driver's past is not kept: those positions count); in the present hour also who could be matched now.
--                 Not known where the positions may have been dropped.
WITH span AS MATERIALIZED (
    SELECT hour AS begins, hour + interval '1 hour' AS ends,
        hour >= date_trunc('day', statement_timestamp(), 'UTC') - make_interval(days => %(position_keep_days)s) AS told,
        hour + interval '1 hour' > statement_timestamp() AS present
    FROM (SELECT %(hour)s::timestamptz AS hour) asked
), ride AS MATERIALIZED (
    SELECT b.driver_id, b.confirmed_at AS begins, coalesce(b.completed_at, b.cancelled_at, b.no_show_at) AS ends
    FROM mobility_booking b
    WHERE b.driver_id IS NOT NULL AND b.status IN ('cancelled', 'completed', 'no_show')
        AND coalesce(b.completed_at, b.cancelled_at, b.no_show_at) > %(hour)s
        AND b.confirmed_at < %(hour)s::timestamptz + interval '1 hour'
    UNION ALL
    SELECT b.driver_id, b.confirmed_at, 'infinity'
    FROM mobility_booking b
    WHERE b.status IN ('confirmed', 'in_progress') AND b.confirmed_at < %(hour)s::timestamptz + interval '1 hour'
), place AS (
    SELECT b.pickup AS position, NULL::bigint AS driver_id, 1 AS requests,
        (b.status = 'unfulfilled' OR b.status = 'cancelled' AND b.driver_id IS NULL AND NOT EXISTS (
            SELECT FROM mobility_ride_event e
            WHERE e.booking_id = b.id AND e.seq = b.seq AND e.from_status = 'scheduled'))::integer AS unfulfilled
    FROM mobility_booking b
    WHERE b.requested_at >= %(hour)s AND b.requested_at < %(hour)s::timestamptz + interval '1 hour'
    UNION ALL
    SELECT p.position, p.driver_id, 0, 0
    FROM mobility_position p
    WHERE p.recorded_at >= %(hour)s AND p.recorded_at < %(hour)s::timestamptz + interval '1 hour'
        AND (SELECT told FROM span)
        AND NOT EXISTS (
            SELECT FROM ride r
            WHERE r.driver_id = p.driver_id AND r.begins <= p.recorded_at AND p.recorded_at < r.ends)
    UNION ALL
    SELECT l.position, l.driver_id, 0, 0
    FROM mobility_driver_location l
    WHERE (SELECT present FROM span) AND l.dispatchable
        AND (l.stationary
            OR least(l.recorded_at, l.received_at) > statement_timestamp() - make_interval(secs => %(stale_after_s)s))
), spot AS (
    SELECT ST_X(g) AS x, ST_Y(g) AS y, driver_id, requests, unfulfilled
    FROM (SELECT ST_Transform(position, 6933) AS g, driver_id, requests, unfulfilled FROM place OFFSET 0) moved
    OFFSET 0
), seen AS (
    SELECT s.size_m, mobility_hex_at(x, y, s.size_m) AS cell, driver_id, sum(requests) AS requests,
        sum(unfulfilled) AS unfulfilled
    FROM spot CROSS JOIN unnest(%(sizes_m)s::integer[]) AS s (size_m)
    GROUP BY 1, 2, 3
), counted AS MATERIALIZED (
    SELECT size_m, cell, sum(requests)::integer AS requests, sum(unfulfilled)::integer AS unfulfilled,
        CASE WHEN (SELECT told FROM span) THEN count(driver_id)::integer END AS idle_drivers
    FROM seen GROUP BY 1, 2
), changed AS MATERIALIZED (
    -- A full join is never done row by row, whatever the planner believes about how many rows there are.
    SELECT size_m, cell, c.requests, c.unfulfilled, c.idle_drivers
    FROM counted c FULL JOIN (
        SELECT * FROM mobility_demand_hour WHERE size_m = ANY (%(sizes_m)s::integer[]) AND hour = %(hour)s
    ) h USING (size_m, cell)
    WHERE (c.requests, c.unfulfilled, c.idle_drivers) IS DISTINCT FROM (h.requests, h.unfulfilled, h.idle_drivers)
), written AS (
    INSERT INTO mobility_demand_hour (size_m, hour, cell, requests, unfulfilled, idle_drivers)
    SELECT size_m, %(hour)s, cell, requests, unfulfilled, idle_drivers FROM changed WHERE requests IS NOT NULL
    ON CONFLICT (size_m, hour, cell) DO UPDATE
    SET requests = EXCLUDED.requests, unfulfilled = EXCLUDED.unfulfilled, idle_drivers = EXCLUDED.idle_drivers
), gone AS (
    DELETE FROM mobility_demand_hour h USING changed c
    WHERE c.requests IS NULL AND h.hour = %(hour)s AND h.size_m = ANY (%(sizes_m)s::integer[])
        AND h.size_m = c.size_m AND h.cell = c.cell
)
SELECT (SELECT count(*) FROM counted) AS cells, (SELECT count(*) FROM changed) AS changed
