-- Offer a ride to drivers, in one statement. The caller holds the rows of the ride and of the drivers, and this statement
-- sees them as they are under those locks. Where one of them takes rides by themselves (auto_accept, or the auto_assign
-- setting), the nearest of those is bound instead: offer accepted, booking confirmed, driver busy, log row. Each driver's
-- inbox says what was decided. A row comes back for each driver who was asked or bound, the nearest first.
WITH free AS (
    SELECT d.id, d.user_id, d.auto_accept, wanted.distance_m, wanted.place
    FROM unnest(%(driver_ids)s::bigint[], %(distances_m)s::double precision[]) WITH ORDINALITY
        AS wanted (driver_id, distance_m, place)
    JOIN mobility_driver d ON d.id = wanted.driver_id
    WHERE d.status = 'available' AND d.verified
        AND NOT EXISTS (SELECT FROM mobility_offer o WHERE o.driver_id = d.id AND o.status = 'pending')
        AND d.id <> ALL (ARRAY({{not_again}}))
), taker AS (
    SELECT * FROM free WHERE %(auto_assign)s OR auto_accept ORDER BY place LIMIT 1
), chosen AS (
    SELECT id, user_id, distance_m, place, 'accepted' AS status,
        CASE WHEN %(auto_assign)s THEN 'auto_assign' ELSE 'auto_accept' END AS origin
    FROM taker
    UNION ALL
    SELECT id, user_id, distance_m, place, 'pending', 'asked' FROM free WHERE NOT EXISTS (SELECT FROM taker)
), ride AS (
    SELECT id, search_until, rounds FROM mobility_booking WHERE id = %(booking_id)s AND status = 'pending'
), offered AS (
    INSERT INTO mobility_offer (
        booking_id, driver_id, round, status, origin, pickup_distance_m, offered_at, due_at, expires_at, delivered_at,
        settled_at)
    SELECT ride.id, c.id, %(round)s, c.status, c.origin, c.distance_m, statement_timestamp(),
        CASE WHEN c.status = 'pending' THEN least(
            statement_timestamp() + make_interval(secs => %(delivery_timeout_s)s), ride.search_until) END,
        CASE WHEN c.status = 'pending' THEN least(
            statement_timestamp() + make_interval(secs => %(offer_ttl_s)s), ride.search_until) END,
        CASE WHEN c.status = 'accepted' THEN statement_timestamp() END,
        CASE WHEN c.status = 'accepted' THEN statement_timestamp() END
    FROM ride, chosen c ORDER BY c.place  -- the nearest has the lowest number, however this is planned
    RETURNING id, booking_id, driver_id, status, origin, pickup_distance_m, due_at
), confirmed AS (
    UPDATE mobility_booking b
    SET status = 'confirmed', seq = b.seq + 1, driver_id = o.driver_id, offer_id = o.id,
        confirmed_at = statement_timestamp(), rounds = %(round)s,
        due_at = statement_timestamp() + make_interval(secs => %(lost_driver_s)s)
    FROM offered o WHERE b.id = o.booking_id AND o.status = 'accepted'
    RETURNING b.id, b.seq, b.confirmed_at
), logged AS (
    INSERT INTO mobility_ride_event (
        booking_id, seq, event, from_status, to_status, actor_id, actor_role, occurred_at, payload)
    SELECT b.id, b.seq, 'driver_assigned', 'pending', 'confirmed',
        CASE WHEN o.origin = 'auto_accept' THEN c.user_id END,
        CASE WHEN o.origin = 'auto_accept' THEN 'driver' ELSE 'system' END, b.confirmed_at,
        jsonb_build_object('driver_id', o.driver_id, 'pickup_distance_m', round(o.pickup_distance_m::numeric, 1))
    FROM confirmed b JOIN offered o ON o.booking_id = b.id JOIN chosen c ON c.id = o.driver_id
), asked AS (
    UPDATE mobility_driver d SET inbox_seq = d.inbox_seq + 1
    FROM offered o WHERE d.id = o.driver_id AND o.status = 'pending'
    RETURNING d.id, d.inbox_seq
), bound AS (
    UPDATE mobility_driver d SET inbox_seq = d.inbox_seq + 1, status = 'busy', missed_offers = 0
    FROM offered o WHERE d.id = o.driver_id AND o.status = 'accepted'
    RETURNING d.id, d.inbox_seq
), told AS (
    INSERT INTO mobility_driver_inbox (driver_id, seq, kind, booking_id, offer_id, reason, occurred_at)
    SELECT t.id, t.inbox_seq, CASE o.status WHEN 'pending' THEN 'ride_request' ELSE 'ride_assigned' END,
        o.booking_id, o.id, '', statement_timestamp()
    FROM (SELECT * FROM asked UNION ALL SELECT * FROM bound) t JOIN offered o ON o.driver_id = t.id
    RETURNING driver_id, seq
)
SELECT o.id AS offer_id, o.driver_id, o.status, o.pickup_distance_m AS distance_m, o.due_at, told.seq AS inbox_seq,
    confirmed.seq, confirmed.confirmed_at AS occurred_at
FROM offered o JOIN told ON told.driver_id = o.driver_id LEFT JOIN confirmed ON confirmed.id = o.booking_id
ORDER BY o.id
