-- Somebody ended the ride; nothing is due for it any more.
WITH moved AS (
    UPDATE mobility_booking
    SET status = 'cancelled', seq = seq + 1, cancelled_at = statement_timestamp(), cancelled_by = %(actor_role)s,
        cancellation_reason = %(reason)s, attention_since = NULL, due_at = NULL
    WHERE id = %(booking_id)s
    RETURNING id, seq, status
)
{{log}}
