-- Hours to be counted, newest first: those that were never, from the hour of the first request on, and those that are
-- looked at again.
SELECT hour FROM (
    SELECT m.hour FROM mobility_demand_made m WHERE m.due_at <= statement_timestamp()
    UNION ALL
    SELECT h.hour FROM generate_series(
        date_trunc('hour', greatest(
            statement_timestamp() - make_interval(days => %(keep_days)s),
            least(statement_timestamp(), (SELECT min(b.requested_at) FROM mobility_booking b),
                (SELECT min(m.hour) FROM mobility_demand_made m))), 'UTC'),
        statement_timestamp(), interval '1 hour') h (hour)
    WHERE NOT EXISTS (SELECT FROM mobility_demand_made m WHERE m.hour = h.hour)
) due
ORDER BY hour DESC LIMIT %(at_once)s
