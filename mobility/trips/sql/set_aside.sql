-- A trip that could not be made is due again later, and keeps no other waiting.
INSERT INTO mobility_trip AS t (booking_id, fixes, jumps, leaps, started_at, ended_at, due_at)
SELECT b.id, 0, 0, 0, b.started_at, coalesce(b.completed_at, b.cancelled_at),
    statement_timestamp() + make_interval(secs => %(for_s)s)
FROM mobility_booking b WHERE b.id = %(booking_id)s
ON CONFLICT (booking_id) DO UPDATE SET due_at = EXCLUDED.due_at
