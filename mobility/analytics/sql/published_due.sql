-- Days and months that are over for so long that nothing in them changes, and are not published, oldest first. A month comes
-- after its days. The first published day has fixed the time zone. The idle drivers of a day come when demand has counted
-- its hours for the last time.
--   settle_hours    so long after its end a day is final
--   keep_days       older days are not published any more; demand_keep_days: nor are idle drivers so old
--   since           null: from the beginning
WITH setting AS MATERIALIZED (
    SELECT coalesce((SELECT p.time_zone FROM mobility_published p LIMIT 1), %(time_zone)s) AS zone,
        statement_timestamp() - make_interval(hours => %(settle_hours)s) AS settled
), reach AS MATERIALIZED (
    SELECT zone, settled, (settled AT TIME ZONE zone)::date - 1 AS last,
        greatest(
            date_trunc('month', (SELECT min(b.requested_at) FROM mobility_booking b) AT TIME ZONE zone)::date,
            date_trunc('month', settled AT TIME ZONE zone - make_interval(days => %(keep_days)s))::date,
            date_trunc('month', %(since)s::date)::date) AS first
    FROM setting
), day AS MATERIALIZED (
    SELECT d::date AS begins, d::timestamp AT TIME ZONE zone AS at, (d + interval '1 day') AT TIME ZONE zone AS until
    FROM reach, generate_series(first::timestamp, last::timestamp, interval '1 day') d
    WHERE EXISTS (SELECT FROM mobility_booking)
), due AS (
    SELECT 'day' AS kind, begins, at, until FROM day
    WHERE NOT EXISTS (SELECT FROM mobility_published p WHERE p.kind = 'day' AND p.begins = day.begins)
    UNION ALL
    SELECT 'supply', begins, at, until FROM day
    WHERE at > statement_timestamp() - make_interval(days => %(demand_keep_days)s)
        AND NOT EXISTS (SELECT FROM mobility_published p WHERE p.kind = 'supply' AND p.begins = day.begins)
        AND NOT EXISTS (
            SELECT FROM generate_series(date_trunc('hour', at, 'UTC'), until - interval '1 second', interval '1 hour') h
            WHERE NOT EXISTS (SELECT FROM mobility_demand_made m WHERE m.hour = h AND m.due_at IS NULL))
    UNION ALL
    SELECT 'month', m::date, m AT TIME ZONE zone, (m + interval '1 month') AT TIME ZONE zone
    FROM reach, generate_series(first::timestamp, last::timestamp, interval '1 month') m
    WHERE EXISTS (SELECT FROM mobility_booking) AND (m + interval '1 month')::date <= last + 1
        AND NOT EXISTS (SELECT FROM mobility_published p WHERE p.kind = 'month' AND p.begins = m::date)
)
SELECT kind, begins, at, until, zone FROM due, setting
ORDER BY until, array_position(ARRAY['day', 'supply', 'month'], kind) LIMIT %(at_once)s
