-- Throw away the counts of the oldest hours that were kept long enough, a bounded number of hours.
WITH old AS MATERIALIZED (
    SELECT hour FROM mobility_demand_made
    WHERE hour < date_trunc('hour', statement_timestamp() - make_interval(days => %(keep_days)s), 'UTC')
    ORDER BY hour LIMIT %(at_once)s
), counts AS (
    DELETE FROM mobility_demand_hour h USING old
    WHERE h.hour = old.hour AND h.size_m = ANY (%(sizes_m)s::integer[])
)
DELETE FROM mobility_demand_made m USING old WHERE m.hour = old.hour RETURNING m.hour
