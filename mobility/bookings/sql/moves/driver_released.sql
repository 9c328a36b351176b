-- The ride loses its driver: the search begins anew, or is given up where that happened too often.
WITH moved AS (
    UPDATE mobility_booking
    SET status = CASE WHEN %(given_up)s::boolean THEN 'unfulfilled' ELSE 'pending' END, seq = seq + 1,
        driver_id = NULL, offer_id = NULL, confirmed_at = NULL, arrived_at = NULL, no_show_from = NULL,
        attention_since = NULL, releases = %(releases)s,
        unfulfilled_at = CASE WHEN %(given_up)s THEN statement_timestamp() ELSE unfulfilled_at END,
        search_started_at = CASE WHEN %(given_up)s THEN search_started_at ELSE statement_timestamp() END,
        search_until = CASE WHEN %(given_up)s THEN search_until
            ELSE statement_timestamp() + make_interval(secs => %(search_timeout_s)s) END,
        due_at = CASE WHEN NOT %(given_up)s THEN statement_timestamp() END
    WHERE id = %(booking_id)s
    RETURNING id, seq, status
)
{{log}}
