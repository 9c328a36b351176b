-- The waiting rides nearest to an idle driver whom they may be offered to, with places left in their waves; how many
-- there are, and how many idle drivers stand around the same spot (counted no further than the rides, which is enough
-- to tell who outnumbers whom). A ride has its own radius or the general one: the index is asked with the largest of all
-- that wait, and each ride's own decides. Idle drivers are counted as far as the farthest-reaching ride that was found.
WITH near AS MATERIALIZED (
    SELECT b.id, b.search_started_at, b.pickup, coalesce(b.search_radius_m, %(radius_m)s::float8) AS radius_m,
        (SELECT count(*) FROM mobility_offer o WHERE o.booking_id = b.id AND o.status = 'pending') AS live
    FROM mobility_booking b
    WHERE b.status = 'pending'
        AND ST_DWithin(b.pickup::geography, ST_MakePoint(%(longitude)s, %(latitude)s)::geography,
            greatest(%(radius_m)s::float8, (
                SELECT max(r.search_radius_m) FROM mobility_booking r
                WHERE r.status = 'pending' AND r.search_radius_m IS NOT NULL)))
        AND ST_DWithin(b.pickup::geography, ST_MakePoint(%(longitude)s, %(latitude)s)::geography,
            coalesce(b.search_radius_m, %(radius_m)s::float8))
        AND (b.vehicle_type IS NULL OR b.vehicle_type = %(vehicle_type)s)
        AND b.passenger_id IS DISTINCT FROM %(user_id)s
        AND b.search_until > statement_timestamp()
        AND NOT EXISTS (
            SELECT FROM mobility_offer o
            WHERE o.booking_id = b.id AND o.driver_id = %(driver_id)s
                AND (o.status IN ('declined', 'expired', 'released')
                    OR (o.reason = 'undelivered' AND NOT EXISTS (
                        SELECT FROM mobility_driver_presence p
                        WHERE p.driver_id = o.driver_id AND p.connected_at > o.settled_at))))
    ORDER BY b.pickup::geography <-> ST_MakePoint(%(longitude)s, %(latitude)s)::geography
    LIMIT %(fetch)s
), waiting AS (
    SELECT *, ST_Distance(pickup::geography, ST_MakePoint(%(longitude)s, %(latitude)s)::geography) AS distance_m
    FROM near WHERE live < %(places)s
), idle AS MATERIALIZED (
    SELECT count(*) AS drivers FROM (
        SELECT FROM mobility_driver_location l
        WHERE l.dispatchable
            AND ST_DWithin(l.indexed_position::geography, ST_MakePoint(%(longitude)s, %(latitude)s)::geography,
                (SELECT max(radius_m) FROM waiting) + %(slack_m)s::float8)
            AND ST_DWithin(l.position::geography, ST_MakePoint(%(longitude)s, %(latitude)s)::geography,
                (SELECT max(radius_m) FROM waiting))
            AND (l.stationary OR least(l.recorded_at, l.received_at)
                > statement_timestamp() - make_interval(secs => %(stale_after_s)s))
            AND (SELECT o.id FROM mobility_offer o WHERE o.driver_id = l.driver_id AND o.status = 'pending') IS NULL
            AND (NOT %(asking)s
                OR (SELECT d.auto_accept FROM mobility_driver d WHERE d.id = l.driver_id)
                OR (SELECT p.lease_until FROM mobility_driver_presence p WHERE p.driver_id = l.driver_id)
                    > statement_timestamp())
        LIMIT (SELECT count(*) FROM waiting)
    ) counted
)
SELECT w.id AS booking_id, w.distance_m, w.search_started_at, w.live,
    count(*) OVER () > idle.drivers AS riders_outnumber
FROM waiting w, idle
ORDER BY w.distance_m, w.id
