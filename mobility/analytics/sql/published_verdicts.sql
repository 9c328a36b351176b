-- Publish why drivers were passed over on a day, where explanations of all its searches are kept: each reason by itself,
-- with no total that one could be had from.
WITH passed AS (
    SELECT coalesce(b.service_area_id, 0) AS area_id, c.verdict, count(*) AS times
    FROM mobility_booking b
    CROSS JOIN LATERAL (
        SELECT driver_id, verdict FROM mobility_search_considered
        WHERE booking_id = b.id AND verdict NOT IN ('assigned', 'asked')
        OFFSET 0
    ) c
    WHERE b.requested_at >= %(at)s AND b.requested_at < %(until)s
        AND %(at)s > statement_timestamp() - make_interval(secs => %(explain_keep_s)s)
    GROUP BY 1, 2
    HAVING count(DISTINCT c.driver_id) >= %(min_people)s
        AND count(DISTINCT coalesce(b.passenger_id, 0)) >= %(min_people)s
), told AS (
    INSERT INTO mobility_published_verdict (period, area_id, verdict, passed_over)
    SELECT %(begins)s, area_id, verdict, mobility_coarse_count(times, 10) FROM passed ORDER BY area_id, verdict
    RETURNING 1
)
SELECT count(*) AS numbers FROM told
