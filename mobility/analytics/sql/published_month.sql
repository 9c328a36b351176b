-- Publish one month: its figures by area, and where rides went. It is of the rides of its days as they were counted then;
-- those in no block of a day are one more block, if they are of enough people (min_rest) and may be of several days.
--
-- Outcomes are of whole blocks too: of the days that tell them, and of all the other days together (hidden), if those can be
-- told: enough people on either side, three days or more, none of which has more than half of the rides.
WITH ride AS MATERIALIZED (
    SELECT *, CASE WHEN outcome = 'completed' THEN 'completed' ELSE 'not_completed' END AS side
    FROM mobility_published_ride WHERE period >= %(begins)s AND period < %(begins)s::date + interval '1 month'
), room AS (
    -- Days whose rest was counted have nothing left; of all others anybody may think that they have.
    SELECT area_id, (%(begins)s::date + interval '1 month')::date - %(begins)s::date
        - count(DISTINCT period) FILTER (WHERE block = 2) AS days
    FROM ride GROUP BY area_id
), rest AS (
    SELECT area_id FROM ride JOIN room USING (area_id)
    WHERE block = 3 GROUP BY area_id HAVING count(DISTINCT person) >= %(min_rest)s AND max(days) >= 3
), kept AS MATERIALIZED (
    SELECT r.*, d.completed IS NOT NULL AND r.block < 3 AS day_tells, CASE WHEN r.block < 3 THEN r.period END AS day
    FROM ride r
    LEFT JOIN rest USING (area_id)
    LEFT JOIN mobility_published_area d ON d.kind = 'day' AND d.period = r.period AND d.area_id = r.area_id
    WHERE r.block < 3 OR rest.area_id IS NOT NULL
), hidden_day AS (
    SELECT area_id, day, count(*) AS rides FROM kept WHERE NOT day_tells GROUP BY area_id, day
), hidden AS (
    SELECT k.area_id FROM kept k
    JOIN (
        SELECT area_id FROM hidden_day
        GROUP BY area_id HAVING count(*) >= 3 AND max(rides) * 2 <= sum(rides)
    ) several USING (area_id)
    WHERE NOT k.day_tells
    GROUP BY k.area_id
    HAVING count(DISTINCT person) FILTER (WHERE side = 'completed') >= %(min_rest)s
        AND count(DISTINCT person) FILTER (WHERE side = 'not_completed') >= %(min_rest)s
), followed AS MATERIALIZED (
    SELECT k.* FROM kept k LEFT JOIN hidden USING (area_id) WHERE k.day_tells OR hidden.area_id IS NOT NULL
), member AS MATERIALIZED (
    SELECT 'to ' || area_id AS whole, to_area_id::text AS part, person FROM kept
    UNION ALL
    SELECT 'why ' || area_id, outcome, person FROM followed WHERE side = 'not_completed'
), part AS MATERIALIZED (
{{published_parts}}
), worth AS (
    SELECT f.area_id, v.what, f.person, v.value
    FROM followed f
    CROSS JOIN LATERAL (VALUES ('wait', f.wait_s), ('length', f.trip_length_m), ('duration', f.trip_duration_s)) v (what, value)
    WHERE f.side = 'completed'
), middle AS MATERIALIZED (
{{published_middle}}
), answer AS (
    -- Only a share is told: how many requests there were stands nowhere.
    SELECT area_id, CASE
        WHEN least(count(DISTINCT driver_id) FILTER (WHERE yes), count(DISTINCT driver_id) FILTER (WHERE NOT yes),
            count(DISTINCT person) FILTER (WHERE yes), count(DISTINCT person) FILTER (WHERE NOT yes)) >= %(min_people)s
        THEN round(20.0 * count(*) FILTER (WHERE yes) / count(*)) * 5 END AS acceptance_pct
    FROM (
        SELECT coalesce(b.service_area_id, 0) AS area_id, o.driver_id, coalesce(b.passenger_id, 0) AS person,
            o.status IN ('accepted', 'released') AS yes
        FROM mobility_booking b
        CROSS JOIN LATERAL (
            SELECT driver_id, status FROM mobility_offer
            WHERE booking_id = b.id AND origin = 'asked' AND status IN ('accepted', 'released', 'declined', 'expired')
            OFFSET 0
        ) o
        WHERE b.requested_at >= %(at)s AND b.requested_at < %(until)s
    ) answers
    GROUP BY area_id
), total AS (
    SELECT area_id, count(*) AS requests FROM kept GROUP BY area_id
), outcome AS (
    SELECT area_id, count(*) AS followed, count(*) FILTER (WHERE side = 'completed') AS completed,
        count(*) FILTER (WHERE side = 'not_completed') AS not_completed
    FROM followed GROUP BY area_id
), why AS (
    SELECT whole, max(rides) FILTER (WHERE part = 'cancelled') AS cancelled,
        max(rides) FILTER (WHERE part = 'no_show') AS no_show,
        max(rides) FILTER (WHERE part = 'unfulfilled') AS unfulfilled, max(rides) FILTER (WHERE part = 'open') AS still_open
    FROM part GROUP BY whole
), areas AS (
    INSERT INTO mobility_published_area (
        kind, period, area_id, requests, followed, completed, not_completed, cancelled, no_show, unfulfilled, still_open,
        wait_median_s, wait_p90_s, trip_length_median_m, trip_duration_median_s, acceptance_pct)
    SELECT 'month', %(begins)s, t.area_id, mobility_coarse_count(t.requests, 10), mobility_coarse_count(o.followed, 10),
        mobility_coarse_count(o.completed, 10), mobility_coarse_count(o.not_completed, 10),
        mobility_coarse_count(y.cancelled, 10), mobility_coarse_count(y.no_show, 10),
        mobility_coarse_count(y.unfulfilled, 10), mobility_coarse_count(y.still_open, 10),
        round(w.median / 10) * 10, round(w.p90 / 10) * 10, round(l.median / 100) * 100, round(d.median / 10) * 10,
        a.acceptance_pct
    FROM total t
    LEFT JOIN outcome o USING (area_id)
    LEFT JOIN why y ON y.whole = 'why ' || t.area_id
    LEFT JOIN middle w ON w.area_id = t.area_id AND w.what = 'wait'
    LEFT JOIN middle l ON l.area_id = t.area_id AND l.what = 'length'
    LEFT JOIN middle d ON d.area_id = t.area_id AND d.what = 'duration'
    LEFT JOIN answer a ON a.area_id = t.area_id
    ORDER BY t.area_id
    RETURNING 1
), flows AS (
    INSERT INTO mobility_published_flow (period, from_area_id, to_area_id, requests)
    SELECT %(begins)s, split_part(whole, ' ', 2)::bigint, part::bigint, mobility_coarse_count(rides, 10)
    FROM part WHERE whole LIKE 'to %%' ORDER BY 2, 3
    RETURNING 1
)
SELECT (SELECT count(*) FROM areas) + (SELECT count(*) FROM flows) AS numbers, (SELECT count(*) FROM ride) AS rides
