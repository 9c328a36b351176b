-- Keep what one search round saw: the nearest free drivers and the nearest others, how far away each was, and the first
-- rule that ruled each of them out; nearest by the index, which is up to 75 m off. Runs in the round's own transaction, after it asked; bounded by %(listed)s a half.
WITH round AS (
    INSERT INTO mobility_search_round (booking_id, round, made_at, strategy, radius_m, outcome)
    VALUES (%(booking_id)s, %(round)s, statement_timestamp(), %(strategy)s, %(radius_m)s, %(outcome)s)
), around AS (
    (SELECT driver_id FROM mobility_driver_location WHERE dispatchable
     ORDER BY indexed_position::geography <-> ST_MakePoint(%(longitude)s, %(latitude)s)::geography LIMIT %(listed)s)
    UNION
    (SELECT driver_id FROM mobility_driver_location WHERE NOT dispatchable
     ORDER BY indexed_position::geography <-> ST_MakePoint(%(longitude)s, %(latitude)s)::geography LIMIT %(listed)s)
    UNION
    SELECT driver_id FROM mobility_offer WHERE booking_id = %(booking_id)s AND round = %(round)s
), seen AS (
    SELECT a.driver_id, d.status, d.verified, d.user_id, d.auto_accept, l.vehicle_type,
        ST_Distance(l.position::geography, ST_MakePoint(%(longitude)s, %(latitude)s)::geography) AS distance_m,
        l.stationary OR least(l.recorded_at, l.received_at)
            > statement_timestamp() - make_interval(secs => %(stale_after_s)s) AS fresh,
        (SELECT p.lease_until FROM mobility_driver_presence p WHERE p.driver_id = a.driver_id) AS lease_until,
        (SELECT o.booking_id FROM mobility_offer o WHERE o.driver_id = a.driver_id AND o.status = 'pending')
            AS asked_for,
        (SELECT p.connected_at FROM mobility_driver_presence p WHERE p.driver_id = a.driver_id) AS connected_at,
        mine.status AS mine, mine.round AS mine_round, mine.reason AS mine_reason, mine.settled_at AS mine_settled_at
    FROM around a
    -- One look-up a driver: planned as joins, without knowing the limit above, these would read the whole tables.
    CROSS JOIN LATERAL (SELECT * FROM mobility_driver WHERE id = a.driver_id LIMIT 1) d
    CROSS JOIN LATERAL (SELECT * FROM mobility_driver_location WHERE driver_id = a.driver_id LIMIT 1) l
    LEFT JOIN LATERAL (
        SELECT o.status, o.round, o.reason, o.settled_at FROM mobility_offer o
        WHERE o.booking_id = %(booking_id)s AND o.driver_id = a.driver_id ORDER BY o.id DESC LIMIT 1
    ) mine ON true
)
INSERT INTO mobility_search_considered (booking_id, round, driver_id, distance_m, verdict)
SELECT %(booking_id)s, %(round)s, driver_id, distance_m, CASE
    WHEN mine = 'accepted' AND mine_round = %(round)s THEN 'assigned'
    WHEN mine = 'pending' AND mine_round = %(round)s THEN 'asked'
    WHEN user_id = %(passenger_id)s THEN 'own_ride'
    WHEN NOT verified THEN 'unverified'
    WHEN status = 'offline' THEN 'offline'
    WHEN vehicle_type <> %(vehicle_type)s THEN 'vehicle_type'
    WHEN distance_m > %(radius_m)s THEN 'too_far'
    WHEN NOT fresh THEN 'stale'
    WHEN status = 'busy' THEN 'busy'
    WHEN mine IN ('declined', 'expired', 'released') THEN mine
    WHEN asked_for = %(booking_id)s THEN 'asked_already'
    WHEN asked_for IS NOT NULL THEN 'asked_elsewhere'
    WHEN mine_reason = 'undelivered' AND coalesce(connected_at <= mine_settled_at, true) THEN 'unreachable'
    WHEN %(asking)s AND NOT auto_accept AND coalesce(lease_until <= statement_timestamp(), true) THEN 'unreachable'
    ELSE 'not_needed' END
FROM seen
