-- The nearest drivers who could be asked, in two steps. `near` walks the partial GiST index nearest first; that has drivers
-- up to 76 m from where they are, and its `<->` on geography measures on the sphere, which errs by up to 6 in
-- 1,000. `candidates` therefore measures the few it fetched again, exactly, on the spheroid and from the position itself.
-- `reach` says how far the walk came and whether more were to be had: the order is certain for distances up to
-- reach.certain_m, and the caller fetches more when that is not enough.
-- What is looked up for each driver are scalar subqueries on purpose: as joins the planner could give up the index's order.
near AS MATERIALIZED (
    SELECT l.driver_id, l.position,
        l.indexed_position::geography <-> ST_MakePoint(%(longitude)s, %(latitude)s)::geography AS sphere_m
    FROM mobility_driver_location l
    WHERE l.dispatchable
        AND (l.stationary
            OR least(l.recorded_at, l.received_at) > statement_timestamp() - make_interval(secs => %(stale_after_s)s))
        AND ST_DWithin(
            l.indexed_position::geography, ST_MakePoint(%(longitude)s, %(latitude)s)::geography,
            %(radius_m)s::float8 + %(slack_m)s::float8)
        AND (%(vehicle_type)s::text IS NULL OR l.vehicle_type = %(vehicle_type)s)
        AND l.driver_id IS DISTINCT FROM (SELECT id FROM mobility_driver WHERE user_id = %(passenger_id)s)
        AND l.driver_id <> ALL (ARRAY({{not_again}}))
        AND (SELECT o.id FROM mobility_offer o WHERE o.driver_id = l.driver_id AND o.status = 'pending') IS NULL
        AND (NOT %(asking)s
            OR (SELECT d.auto_accept FROM mobility_driver d WHERE d.id = l.driver_id)
            OR (SELECT p.lease_until FROM mobility_driver_presence p WHERE p.driver_id = l.driver_id)
                > statement_timestamp())
    ORDER BY l.indexed_position::geography <-> ST_MakePoint(%(longitude)s, %(latitude)s)::geography
    LIMIT %(fetch)s
), reach AS (
    SELECT count(*) AS fetched,
        CASE WHEN count(*) < %(fetch)s THEN 'infinity' ELSE 0.994 * max(sphere_m) - %(slack_m)s::float8
            END::double precision AS certain_m
    FROM near
), candidates AS (
    SELECT * FROM (
        SELECT driver_id, position,
            ST_Distance(position::geography, ST_MakePoint(%(longitude)s, %(latitude)s)::geography) AS distance_m
        FROM near
    ) measured
    WHERE distance_m <= %(radius_m)s
)
