-- Publish one day: requests by area, hexagon and hour, and the figures of each area.
--
-- The rides of an area are cut into blocks of min_people or more: those of a hexagon in an hour; all that are in none, if
-- they are so many (min_rest) and could be in several places. What is in no block is not counted, and waits for the
-- month. Every number is of whole blocks, so none of them less another is of fewer people. Not who is asked for (rides) is
-- counted for that, but different people; guests by their phone, those without one together as one.
--   at, until, zone   the day
--   hexagon_m         edge of the hexagons
WITH area AS MATERIALIZED (
    -- Out of the table's storage, which every look would have to unpack anew; and plain numbers are compared sooner.
    SELECT id, active, ST_SetSRID(area, 4326) AS shape, row_number() OVER (ORDER BY ST_Area(area), id) AS place,
        ST_XMin(area) AS west, ST_XMax(area) AS east, ST_YMin(area) AS south, ST_YMax(area) AS north,
        greatest(1, ceil(ST_Area(ST_Transform(area, 6933)) / (1.5 * sqrt(3) * %(hexagon_m)s::float8 ^ 2))) AS hexagons
    FROM mobility_service_area
), asked AS MATERIALIZED (
    SELECT coalesce(b.service_area_id, 0) AS area_id, b.dropoff, b.requested_at,
        ST_Transform(b.pickup, 6933) AS place,
        coalesce(b.passenger_id, (
            SELECT coalesce(CASE WHEN p.phone = '' THEN 0 END,
                (SELECT u.id FROM mobility_user u WHERE u.phone = '+' || p.phone),
                -1 - (hashtextextended(p.phone, 0) & 4611686018427387903))
            FROM (SELECT regexp_replace(b.passenger_phone, '\D', '', 'g') AS phone OFFSET 0) p)) AS person,
        CASE WHEN b.status IN ('completed', 'no_show', 'unfulfilled') THEN b.status
            WHEN b.status <> 'cancelled' THEN 'open'
            WHEN b.driver_id IS NULL AND NOT EXISTS (
                SELECT FROM mobility_ride_event e
                WHERE e.booking_id = b.id AND e.seq = b.seq AND e.from_status = 'scheduled') THEN 'unfulfilled'
            ELSE 'cancelled' END AS outcome,
        CASE WHEN b.status = 'completed'
            THEN extract(epoch FROM coalesce(b.arrived_at, b.started_at) - b.search_started_at) END AS wait_s,
        CASE WHEN b.status = 'completed' THEN (SELECT t.length_m FROM mobility_trip t WHERE t.booking_id = b.id) END
            AS trip_length_m,
        CASE WHEN b.status = 'completed'
            THEN extract(epoch FROM b.completed_at - b.started_at) END AS trip_duration_s
    FROM mobility_booking b
    WHERE b.requested_at >= %(at)s AND b.requested_at < %(until)s
), ride AS MATERIALIZED (
    SELECT area_id, date_trunc('hour', requested_at, %(zone)s) AS hour,
        mobility_hex_at(place_x, place_y, %(hexagon_m)s::integer) AS cell, person, outcome, wait_s, trip_length_m,
        trip_duration_s,
        -- The smallest of those around the dropoff.
        (SELECT min(a.place) FROM area a
            WHERE a.active AND to_x BETWEEN a.west AND a.east AND to_y BETWEEN a.south AND a.north
                AND ST_Intersects(a.shape, dropoff)) AS to_place
    FROM (
        -- Once each: the functions are put in place of their calls, and ask for these many times.
        SELECT *, ST_X(place) AS place_x, ST_Y(place) AS place_y, ST_X(dropoff) AS to_x, ST_Y(dropoff) AS to_y
        FROM asked OFFSET 0
    ) asked
), crowd AS MATERIALIZED (
    SELECT area_id, hour, cell, count(*) AS rides, count(DISTINCT person) >= %(min_people)s AS told
    FROM ride GROUP BY area_id, hour, cell
), room AS (
    -- In how many places the rest may be, as far as everybody knows: were there two, either could be told from the other.
    SELECT c.area_id, coalesce(max(a.hexagons), CASE WHEN c.area_id > 0 THEN count(DISTINCT cell) FILTER (WHERE told) END,
            'infinity') * extract(epoch FROM %(until)s::timestamptz - %(at)s::timestamptz) / 3600
            - count(*) FILTER (WHERE told) AS places
    FROM crowd c LEFT JOIN area a ON a.id = c.area_id
    GROUP BY c.area_id
), rest AS (
    SELECT area_id FROM ride JOIN crowd USING (area_id, hour, cell) JOIN room USING (area_id)
    WHERE NOT told
    GROUP BY area_id HAVING count(DISTINCT person) >= %(min_rest)s AND max(places) >= 3
), block AS MATERIALIZED (
    SELECT r.*, coalesce(t.id, 0) AS to_area_id, CASE WHEN c.told THEN 1 WHEN rest.area_id IS NOT NULL THEN 2 ELSE 3 END AS block
    FROM ride r JOIN crowd c USING (area_id, hour, cell) LEFT JOIN rest USING (area_id)
    LEFT JOIN area t ON t.place = r.to_place
), kept AS (
    INSERT INTO mobility_published_ride (
        period, area_id, to_area_id, person, block, outcome, wait_s, trip_length_m, trip_duration_s)
    SELECT %(begins)s, area_id, to_area_id, person, block, outcome, wait_s, trip_length_m, trip_duration_s FROM block
), shape AS (
    INSERT INTO mobility_published_hexagon (cell, geom)
    SELECT cell, mobility_hex_cell(cell, %(hexagon_m)s::integer) FROM (SELECT DISTINCT cell FROM crowd WHERE told) seen
    ORDER BY cell
    ON CONFLICT DO NOTHING
), hours AS (
    INSERT INTO mobility_published_hour (period, hour, area_id, cell, requests)
    SELECT %(begins)s, hour, area_id, cell, mobility_coarse_count(rides, 10) FROM crowd
    WHERE told ORDER BY hour, area_id, cell
    RETURNING 1
), figure AS (
    SELECT area_id, count(*) AS requests, count(*) FILTER (WHERE outcome = 'completed') AS completed,
        count(*) FILTER (WHERE outcome <> 'completed') AS not_completed,
        count(DISTINCT person) FILTER (WHERE outcome = 'completed') >= %(min_people)s
        AND count(DISTINCT person) FILTER (WHERE outcome <> 'completed') >= %(min_people)s AS told
    FROM block WHERE block < 3 GROUP BY area_id
), worth AS (
    SELECT b.area_id, v.what, b.person, v.value
    FROM block b JOIN figure f ON f.area_id = b.area_id AND f.told
    CROSS JOIN LATERAL (VALUES ('wait', b.wait_s), ('length', b.trip_length_m), ('duration', b.trip_duration_s)) v (what, value)
    WHERE b.block < 3 AND b.outcome = 'completed'
), middle AS MATERIALIZED (
{{published_middle}}
), areas AS (
    INSERT INTO mobility_published_area (
        kind, period, area_id, requests, completed, not_completed, wait_median_s, wait_p90_s, trip_length_median_m,
        trip_duration_median_s)
    SELECT 'day', %(begins)s, f.area_id, mobility_coarse_count(f.requests, 10),
        CASE WHEN f.told THEN mobility_coarse_count(f.completed, 10) END,
        CASE WHEN f.told THEN mobility_coarse_count(f.not_completed, 10) END,
        round(w.median / 10) * 10, round(w.p90 / 10) * 10, round(l.median / 100) * 100, round(d.median / 10) * 10
    FROM figure f
    LEFT JOIN middle w ON w.area_id = f.area_id AND w.what = 'wait'
    LEFT JOIN middle l ON l.area_id = f.area_id AND l.what = 'length'
    LEFT JOIN middle d ON d.area_id = f.area_id AND d.what = 'duration'
    ORDER BY f.area_id
    RETURNING 1
)
SELECT (SELECT count(*) FROM hours) + (SELECT count(*) FROM areas) AS numbers, (SELECT count(*) FROM block) AS rides
