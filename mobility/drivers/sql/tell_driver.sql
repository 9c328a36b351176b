-- One more row in a driver's inbox, numbered under the driver's row lock.
WITH counted AS (
    UPDATE mobility_driver SET inbox_seq = inbox_seq + 1 WHERE id = %(driver_id)s RETURNING id, inbox_seq
)
INSERT INTO mobility_driver_inbox (driver_id, seq, kind, booking_id, offer_id, reason, occurred_at)
SELECT id, inbox_seq, %(kind)s, %(booking_id)s, %(offer_id)s, %(reason)s, statement_timestamp() FROM counted
RETURNING seq AS inbox_seq
