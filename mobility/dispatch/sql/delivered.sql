-- The driver has the request: its time begins now. Without a row, the request is over or its delivery came too late.
UPDATE mobility_offer o
SET delivered_at = statement_timestamp(), expires_at = clock.ends_at, due_at = clock.ends_at
FROM (
    SELECT b.id, least(statement_timestamp() + make_interval(secs => %(offer_ttl_s)s), b.search_until) AS ends_at
    FROM mobility_booking b
) clock
WHERE o.id = %(offer_id)s AND o.driver_id = %(driver_id)s AND clock.id = o.booking_id
    AND o.status = 'pending' AND o.delivered_at IS NULL AND o.due_at > clock_timestamp()
RETURNING o.expires_at
