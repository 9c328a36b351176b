-- Close the offers of a ride whose time has run out: undelivered ones cost their drivers nothing, unanswered ones are
-- missed. What ends only because the search does is neither, and stays for the caller. The caller holds the ride's row.
-- One row a driver, with the misses in a row that it makes, in the order in which they were asked.
WITH due AS (
    UPDATE mobility_offer
    SET status = CASE WHEN delivered_at IS NULL THEN 'withdrawn' ELSE 'expired' END,
        reason = CASE WHEN delivered_at IS NULL THEN 'undelivered' END,
        settled_at = statement_timestamp()
    WHERE booking_id = %(booking_id)s AND status = 'pending' AND due_at <= statement_timestamp()
        AND due_at < (SELECT search_until FROM mobility_booking WHERE id = %(booking_id)s)
    RETURNING id, booking_id, driver_id, status
), closed AS (
    UPDATE mobility_driver d
    SET inbox_seq = d.inbox_seq + 1,
        missed_offers = CASE due.status WHEN 'expired' THEN d.missed_offers + 1 ELSE d.missed_offers END
    FROM due WHERE d.id = due.driver_id
    RETURNING d.id, d.inbox_seq, d.missed_offers, due.id AS offer_id, due.booking_id, due.status
), told AS (
    INSERT INTO mobility_driver_inbox (driver_id, seq, kind, booking_id, offer_id, reason, occurred_at)
    SELECT id, inbox_seq, 'ride_request_closed', booking_id, offer_id,
        CASE status WHEN 'expired' THEN 'expired' ELSE 'undelivered' END, statement_timestamp()
    FROM closed
)
SELECT id AS driver_id, inbox_seq, missed_offers, status FROM closed ORDER BY offer_id
