-- Rides whose trip is to be made: those that have none, and those whose trip is looked at again. Not when their positions
-- may have been dropped already.
(SELECT t.booking_id, t.due_at FROM mobility_trip t
    WHERE t.due_at <= statement_timestamp() AND t.started_at > statement_timestamp() - make_interval(days => %(keep_days)s)
    ORDER BY t.due_at LIMIT %(at_once)s)
UNION ALL
(SELECT b.id, b.started_at FROM mobility_booking b
    WHERE b.status IN ('cancelled', 'completed')
        AND b.started_at > statement_timestamp() - make_interval(days => %(keep_days)s)
        AND NOT EXISTS (SELECT FROM mobility_trip t WHERE t.booking_id = b.id)
    ORDER BY b.started_at LIMIT %(at_once)s)
ORDER BY 2 LIMIT %(at_once)s
