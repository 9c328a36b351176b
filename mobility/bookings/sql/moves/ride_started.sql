-- The passenger is on board.
WITH moved AS (
    UPDATE mobility_booking
    SET status = 'in_progress', seq = seq + 1, started_at = statement_timestamp(),
        due_at = statement_timestamp() + make_interval(secs => %(lost_trip_s)s)
    WHERE id = %(booking_id)s
    RETURNING id, seq, status
)
{{log}}
