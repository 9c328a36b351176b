-- Nobody came to the pickup; nothing is due for the ride any more.
WITH moved AS (
    UPDATE mobility_booking
    SET status = 'no_show', seq = seq + 1, no_show_at = statement_timestamp(), attention_since = NULL, due_at = NULL
    WHERE id = %(booking_id)s
    RETURNING id, seq, status
)
{{log}}
