-- Trips whose positions may have been dropped: what is there is final.
UPDATE mobility_trip SET due_at = NULL
WHERE due_at <= statement_timestamp() AND started_at <= statement_timestamp() - make_interval(days => %(keep_days)s)
