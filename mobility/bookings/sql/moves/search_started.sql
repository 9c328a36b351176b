-- A ride for which nobody was found is searched for again, as it stands.
WITH moved AS (
    UPDATE mobility_booking
    SET status = 'pending', seq = seq + 1, unfulfilled_at = NULL, search_started_at = statement_timestamp(),
        search_until = statement_timestamp() + make_interval(secs => %(search_timeout_s)s),
        due_at = statement_timestamp()
    WHERE id = %(booking_id)s
    RETURNING id, seq, status
)
{{log}}
