-- A driver takes a ride, in one statement: the first valid accept wins. The caller holds the rows of the ride and of
-- the driver. No row comes back, and nothing is changed, unless the offer is open, not expired by this database's
-- clock, the ride is searched for and the driver free. The other open offers are withdrawn in it and their drivers told.
-- One row a driver, in the order in which they were asked.
WITH mine AS (
    UPDATE mobility_offer o
    SET status = 'accepted', settled_at = statement_timestamp(),
        delivered_at = coalesce(o.delivered_at, statement_timestamp())
    WHERE o.id = %(offer_id)s AND o.driver_id = %(driver_id)s AND o.status = 'pending'
        AND o.expires_at > clock_timestamp()
        AND EXISTS (SELECT FROM mobility_booking b WHERE b.id = o.booking_id AND b.status = 'pending')
        AND EXISTS (SELECT FROM mobility_driver d WHERE d.id = o.driver_id AND d.status = 'available')
    RETURNING o.id, o.booking_id, o.driver_id, o.pickup_distance_m
), others AS (
    UPDATE mobility_offer o SET status = 'withdrawn', reason = 'taken', settled_at = statement_timestamp()
    FROM mine WHERE o.booking_id = mine.booking_id AND o.status = 'pending' AND o.id <> mine.id
    RETURNING o.id, o.booking_id, o.driver_id
), confirmed AS (
    UPDATE mobility_booking b
    SET status = 'confirmed', seq = b.seq + 1, driver_id = mine.driver_id, offer_id = mine.id,
        confirmed_at = statement_timestamp(),
        due_at = statement_timestamp() + make_interval(secs => %(lost_driver_s)s)
    FROM mine WHERE b.id = mine.booking_id
    RETURNING b.id, b.seq, b.ride_id, b.passenger_id, b.confirmed_at
), logged AS (
    INSERT INTO mobility_ride_event (
        booking_id, seq, event, from_status, to_status, actor_id, actor_role, occurred_at, payload)
    SELECT b.id, b.seq, 'driver_assigned', 'pending', 'confirmed',
        (SELECT user_id FROM mobility_driver WHERE id = mine.driver_id), 'driver', b.confirmed_at,
        jsonb_build_object('driver_id', mine.driver_id, 'pickup_distance_m', round(mine.pickup_distance_m::numeric, 1))
    FROM confirmed b, mine
), bound AS (
    UPDATE mobility_driver d SET status = 'busy', missed_offers = 0, inbox_seq = d.inbox_seq + 1
    FROM mine WHERE d.id = mine.driver_id RETURNING d.id, d.inbox_seq
), freed AS (
    UPDATE mobility_driver d SET inbox_seq = d.inbox_seq + 1
    FROM others WHERE d.id = others.driver_id RETURNING d.id, d.inbox_seq
), told AS (
    INSERT INTO mobility_driver_inbox (driver_id, seq, kind, booking_id, offer_id, reason, occurred_at)
    SELECT bound.id, bound.inbox_seq, 'ride_assigned', mine.booking_id, mine.id, '', statement_timestamp()
    FROM bound, mine
    UNION ALL
    SELECT freed.id, freed.inbox_seq, 'ride_request_closed', others.booking_id, others.id, 'taken',
        statement_timestamp()
    FROM freed JOIN others ON others.driver_id = freed.id
    RETURNING driver_id, seq, offer_id
)
SELECT told.driver_id, told.seq AS inbox_seq, confirmed.seq, confirmed.ride_id, confirmed.passenger_id,
    confirmed.confirmed_at AS occurred_at
FROM told, confirmed
ORDER BY told.offer_id
