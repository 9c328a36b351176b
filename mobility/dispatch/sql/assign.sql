-- Bind a driver whom an operator picked, in one statement: offer accepted, booking confirmed, driver busy, log row, inbox.
-- The caller holds the rows of the ride (which is searched for) and of the driver (who is available).
WITH driver AS (
    SELECT d.id, (SELECT ST_Distance(l.position::geography, b.pickup::geography)
        FROM mobility_driver_location l WHERE l.driver_id = d.id) AS distance_m
    FROM mobility_driver d, mobility_booking b WHERE d.id = %(driver_id)s AND b.id = %(booking_id)s
), offered AS (
    INSERT INTO mobility_offer (
        booking_id, driver_id, round, status, origin, pickup_distance_m, offered_at, delivered_at, settled_at)
    SELECT %(booking_id)s, driver.id, b.rounds, 'accepted', 'operator', driver.distance_m, statement_timestamp(),
        statement_timestamp(), statement_timestamp()
    FROM driver, mobility_booking b WHERE b.id = %(booking_id)s
    RETURNING id, booking_id, driver_id, pickup_distance_m
), confirmed AS (
    UPDATE mobility_booking b
    SET status = 'confirmed', seq = b.seq + 1, driver_id = o.driver_id, offer_id = o.id,
        confirmed_at = statement_timestamp(),
        due_at = statement_timestamp() + make_interval(secs => %(lost_driver_s)s)
    FROM offered o WHERE b.id = o.booking_id
    RETURNING b.id, b.seq, b.confirmed_at
), logged AS (
    INSERT INTO mobility_ride_event (
        booking_id, seq, event, from_status, to_status, actor_id, actor_role, occurred_at, payload)
    SELECT b.id, b.seq, 'driver_assigned', 'pending', 'confirmed', %(user_id)s, 'operator', b.confirmed_at,
        jsonb_build_object('driver_id', o.driver_id, 'pickup_distance_m', round(o.pickup_distance_m::numeric, 1))
    FROM confirmed b, offered o
), bound AS (
    UPDATE mobility_driver d SET status = 'busy', missed_offers = 0, inbox_seq = d.inbox_seq + 1
    FROM offered o WHERE d.id = o.driver_id RETURNING d.id, d.inbox_seq
), told AS (
    INSERT INTO mobility_driver_inbox (driver_id, seq, kind, booking_id, offer_id, reason, occurred_at)
    SELECT bound.id, bound.inbox_seq, 'ride_assigned', o.booking_id, o.id, 'operator', statement_timestamp()
    FROM bound, offered o
)
SELECT bound.id AS driver_id, bound.inbox_seq, confirmed.seq, confirmed.confirmed_at AS occurred_at
FROM bound, confirmed
