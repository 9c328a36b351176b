-- Take back the open offers of a ride whose row the caller holds, and tell their drivers why. One row a driver, in the
-- order in which they were asked.
WITH withdrawn AS (
    UPDATE mobility_offer SET status = 'withdrawn', reason = %(reason)s, settled_at = statement_timestamp()
    WHERE booking_id = %(booking_id)s AND status = 'pending'
        AND (%(driver_id)s::bigint IS NULL OR driver_id = %(driver_id)s)
    RETURNING id, booking_id, driver_id, reason
), freed AS (
    UPDATE mobility_driver d SET inbox_seq = d.inbox_seq + 1
    FROM withdrawn WHERE d.id = withdrawn.driver_id
    RETURNING d.id AS driver_id, d.inbox_seq, withdrawn.id AS offer_id, withdrawn.booking_id, withdrawn.reason
), told AS (
    INSERT INTO mobility_driver_inbox (driver_id, seq, kind, booking_id, offer_id, reason, occurred_at)
    SELECT driver_id, inbox_seq, 'ride_request_closed', booking_id, offer_id, reason, statement_timestamp()
    FROM freed
)
SELECT driver_id, inbox_seq FROM freed ORDER BY offer_id
