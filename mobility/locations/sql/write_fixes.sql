-- Positions of any number of drivers, in any order and again and again: the newest of each driver becomes their live row
-- where it is newer than that, and all of them become history once. `age_s` is how long ago each arrived, so that the
-- database's clock dates them all. The indexed place moves along once it is more than 75 m away. `restless`: who was
-- stationary and has moved; `returned`: who was silent for too long and is heard again; `left_out`: how many times of
-- devices cannot be by this clock.
WITH sent AS MATERIALIZED (
    SELECT s.driver_id, ST_SetSRID(ST_MakePoint(s.longitude, s.latitude), 4326) AS position,
        coalesce(to_timestamp(s.recorded_at), statement_timestamp() - make_interval(secs => s.age_s)) AS recorded_at,
        statement_timestamp() - make_interval(secs => s.age_s) AS received_at,
        s.heading, s.speed, s.accuracy_m, s.door
    FROM unnest(
        %(driver_ids)s::bigint[], %(latitudes)s::float8[], %(longitudes)s::float8[], %(recorded_ats)s::float8[],
        %(ages_s)s::float8[], %(headings)s::float8[], %(speeds)s::float8[], %(accuracies_m)s::float8[],
        %(doors)s::text[]
    ) AS s (driver_id, latitude, longitude, recorded_at, age_s, heading, speed, accuracy_m, door)
), kept AS MATERIALIZED (
    SELECT * FROM sent
    WHERE recorded_at BETWEEN received_at - make_interval(hours => %(late_hours)s) AND received_at + interval '1 minute'
), newest AS MATERIALIZED (
    SELECT DISTINCT ON (driver_id) * FROM kept ORDER BY driver_id, recorded_at DESC
), moved AS (
    UPDATE mobility_driver_location l
    SET position = n.position,
        indexed_position = CASE WHEN ST_DistanceSphere(l.indexed_position, n.position) <= 75 THEN l.indexed_position
            ELSE n.position END,
        heading = n.heading, speed = n.speed, recorded_at = n.recorded_at, received_at = n.received_at
    FROM newest n
    WHERE l.driver_id = n.driver_id AND l.recorded_at < n.recorded_at
    RETURNING l.driver_id, l.stationary, l.stale
), placed AS (
    INSERT INTO mobility_driver_location AS l (
        driver_id, position, heading, speed, recorded_at, received_at, stationary, dispatchable, vehicle_type)
    SELECT n.driver_id, n.position, n.heading, n.speed, n.recorded_at, n.received_at, false, false, ''
    FROM newest n JOIN mobility_driver d ON d.id = n.driver_id
    WHERE (SELECT count(*) FROM moved) < (SELECT count(*) FROM newest) -- else nobody is new, and nobody looked up
        AND NOT EXISTS (SELECT FROM mobility_driver_location l WHERE l.driver_id = n.driver_id)
    ORDER BY n.driver_id
    ON CONFLICT (driver_id) DO UPDATE
    SET position = EXCLUDED.position, indexed_position = EXCLUDED.position, heading = EXCLUDED.heading,
        speed = EXCLUDED.speed, recorded_at = EXCLUDED.recorded_at, received_at = EXCLUDED.received_at
    WHERE l.recorded_at < EXCLUDED.recorded_at
    RETURNING l.driver_id, l.stationary, l.stale
), history AS (
    INSERT INTO mobility_position (
        driver_id, recorded_at, received_at, position, heading, speed, accuracy_m, door)
    SELECT driver_id, recorded_at, received_at, position, heading, speed, accuracy_m, door FROM kept
    ON CONFLICT (driver_id, recorded_at) DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM history) AS stored, (SELECT count(*) FROM sent) - (SELECT count(*) FROM kept) AS left_out,
    extract(epoch FROM statement_timestamp())::float8 AS now,
    (SELECT count(*) FROM moved) + (SELECT count(*) FROM placed) AS moved,
    ARRAY(SELECT driver_id FROM moved WHERE stationary UNION ALL SELECT driver_id FROM placed WHERE stationary)
        AS restless,
    ARRAY(SELECT driver_id FROM moved WHERE stale UNION ALL SELECT driver_id FROM placed WHERE stale) AS returned
