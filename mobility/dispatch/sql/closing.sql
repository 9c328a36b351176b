freed AS (
    UPDATE mobility_driver d SET inbox_seq = d.inbox_seq + 1
    FROM withdrawn WHERE d.id = withdrawn.driver_id RETURNING d.id, d.inbox_seq
)
INSERT INTO mobility_driver_inbox (driver_id, seq, kind, booking_id, offer_id, reason, occurred_at)
SELECT freed.id, freed.inbox_seq, 'ride_request_closed', withdrawn.booking_id, withdrawn.id, withdrawn.reason,
    statement_timestamp()
FROM freed JOIN withdrawn ON withdrawn.driver_id = freed.id
RETURNING driver_id, seq AS inbox_seq
