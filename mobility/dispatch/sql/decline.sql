-- A driver does not want this ride; the caller holds the ride's row. No row comes back when the offer is not open.
WITH declined AS (
    UPDATE mobility_offer
    SET status = 'declined', settled_at = statement_timestamp(), decline_reason = %(reason)s,
        delivered_at = coalesce(delivered_at, statement_timestamp())
    WHERE id = %(offer_id)s AND driver_id = %(driver_id)s AND status = 'pending'
    RETURNING driver_id
), answered AS (
    UPDATE mobility_driver d SET missed_offers = 0 FROM declined WHERE d.id = declined.driver_id
)
SELECT driver_id FROM declined
