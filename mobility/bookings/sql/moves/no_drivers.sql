-- Nobody was to be had: the search is over, after so many rounds, and nothing is due for it.
WITH moved AS (
    UPDATE mobility_booking
    SET status = 'unfulfilled', seq = seq + 1, rounds = %(rounds)s, unfulfilled_at = statement_timestamp(), due_at = NULL
    WHERE id = %(booking_id)s
    RETURNING id, seq, status
)
{{log}}
