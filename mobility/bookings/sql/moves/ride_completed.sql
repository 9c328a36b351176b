-- The passenger is there; nothing is due for the ride any more.
WITH moved AS (
    UPDATE mobility_booking
    SET status = 'completed', seq = seq + 1, completed_at = statement_timestamp(), attention_since = NULL, due_at = NULL
    WHERE id = %(booking_id)s
    RETURNING id, seq, status
)
{{log}}
