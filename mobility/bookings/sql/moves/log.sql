-- The log row of what `moved` has made of a ride: no move without it.
INSERT INTO mobility_ride_event (
    booking_id, seq, event, from_status, to_status, actor_id, actor_role, occurred_at, payload)
SELECT id, seq, %(event)s, %(from_status)s, status, %(actor_id)s, %(actor_role)s, statement_timestamp(),
    %(payload)s::jsonb
FROM moved
RETURNING seq, to_status, occurred_at
