-- Take back the open offers of a ride whose row the caller holds, and tell their drivers why.
WITH withdrawn AS (
    UPDATE mobility_offer SET status = 'withdrawn', reason = %(reason)s, settled_at = statement_timestamp()
    WHERE booking_id = %(booking_id)s AND status = 'pending'
        AND (%(driver_id)s::bigint IS NULL OR driver_id = %(driver_id)s)
    RETURNING id, booking_id, driver_id, reason
), {{closing}}
