-- Whether this hour is still to be counted: another process may just have done it.
SELECT NOT EXISTS (
    SELECT FROM mobility_demand_made m
    WHERE m.hour = %(hour)s AND (m.due_at IS NULL OR m.due_at > statement_timestamp())) AS due
