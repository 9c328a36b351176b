-- This hour is counted. The present one is due again after a minute, or 20 times as long as the counting took; an hour that
-- is over after ten minutes, and then each time three times as old, until nothing late changes it any more.
-- `changed_at` is when readers last got anything new.
INSERT INTO mobility_demand_made AS m (hour, made_at, changed_at, due_at)
SELECT hour, statement_timestamp(), statement_timestamp(),
    CASE WHEN statement_timestamp() < ends THEN least(ends, statement_timestamp() + greatest(
            make_interval(secs => %(present_s)s), 20 * (clock_timestamp() - transaction_timestamp())))
        WHEN statement_timestamp() < ends + make_interval(hours => %(late_hours)s, mins => 1) THEN least(
            ends + make_interval(hours => %(late_hours)s, mins => 1), greatest(
                statement_timestamp() + make_interval(secs => %(again_after_s)s), ends + 3 * (statement_timestamp() - ends)))
    END
FROM (SELECT %(hour)s::timestamptz AS hour, %(hour)s::timestamptz + interval '1 hour' AS ends) asked
ON CONFLICT (hour) DO UPDATE
SET made_at = EXCLUDED.made_at, due_at = EXCLUDED.due_at,
    changed_at = CASE WHEN %(changed)s > 0
        OR m.made_at < m.hour + interval '1 hour' AND EXCLUDED.made_at >= m.hour + interval '1 hour'
        THEN EXCLUDED.changed_at ELSE m.changed_at END
RETURNING due_at IS NULL AS final
