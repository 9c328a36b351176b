-- The driver's newest sign of life is a position, a word on their socket, or that the socket is open; not before the ride
-- was last moved. The ride is due again when the silence since then would be too long, and needs nobody's eye any more once
-- the driver is heard again. A stationary driver (a rank, a clinic's own car) is never silent.
UPDATE mobility_booking b
SET attention_since = CASE
        WHEN sign.at + make_interval(secs => %(after_s)s) <= statement_timestamp() THEN b.attention_since END,
    due_at = CASE WHEN sign.at + make_interval(secs => %(after_s)s) > statement_timestamp()
    THEN sign.at + make_interval(secs => %(after_s)s) ELSE statement_timestamp() + make_interval(secs => %(after_s)s) END
FROM (
    SELECT b.id, d.stationary, greatest(
        b.confirmed_at, b.arrived_at, b.started_at,
        (SELECT l.received_at FROM mobility_driver_location l WHERE l.driver_id = d.id),
        (SELECT p.seen_at FROM mobility_driver_presence p WHERE p.driver_id = d.id)) AS at
    FROM mobility_booking b JOIN mobility_driver d ON d.id = b.driver_id WHERE b.id = %(booking_id)s
) sign
WHERE b.id = sign.id
RETURNING NOT sign.stationary AND sign.at + make_interval(secs => %(after_s)s) <= statement_timestamp() AS silent
