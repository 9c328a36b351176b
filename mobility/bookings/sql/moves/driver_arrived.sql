-- The driver is at the pickup; from when nobody may be reported to have come is fixed now.
WITH moved AS (
    UPDATE mobility_booking
    SET seq = seq + 1, arrived_at = statement_timestamp(),
        no_show_from = statement_timestamp() + make_interval(secs => %(no_show_wait_s)s),
        due_at = statement_timestamp() + make_interval(secs => %(lost_trip_s)s)
    WHERE id = %(booking_id)s
    RETURNING id, seq, status
)
{{log}}
