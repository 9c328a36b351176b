-- A seeded fleet for the benches, run by psql as superuser in a migrated, empty database:
--   drivers     how many, all verified, at a fresh position, taking rides by themselves (auto_accept)
--   passengers  users who drive nothing, with the ids after the drivers'
--   seed        between -1 and 1: the same seed gives the same fleet
--
-- Ten clustered cities, one of them dense (40 % of all drivers), with 30 to 60 % of the drivers free; and two hard ones: where
-- nearly all are busy, and where all are. Triggers and foreign keys are off while it loads, so everything the triggers
-- keep in step (dispatchable, vehicle_type, shown_name) is computed here.
\set ON_ERROR_STOP on
SET session_replication_role = replica;
SET synchronous_commit = off;
SELECT setseed(:seed) \g /dev/null

CREATE TEMP TABLE city (
    name text, share numeric, longitude double precision, latitude double precision,
    spread_deg double precision, free double precision);
INSERT INTO city VALUES
    ('dense', 0.40, 28.05, -26.25, 0.25, 0.45),
    ('second', 0.10, 18.45, -33.95, 0.25, 0.50),
    ('third', 0.10, 31.00, -29.85, 0.20, 0.40),
    ('fourth', 0.08, 28.20, -25.75, 0.20, 0.60),
    ('fifth', 0.06, 25.60, -33.95, 0.15, 0.30),
    ('sixth', 0.05, 26.20, -29.10, 0.15, 0.35),
    ('seventh', 0.04, 27.90, -33.00, 0.10, 0.55),
    ('eighth', 0.03, 29.45, -23.90, 0.10, 0.50),
    ('ninth', 0.02, 30.95, -25.45, 0.10, 0.45),
    ('tenth', 0.02, 24.75, -28.75, 0.10, 0.40),
    ('nearly all busy', 0.05, 22.05, -30.05, 0.15, 0.002),
    ('all busy', 0.05, 20.05, -32.05, 0.15, 0.0);

-- Three dice added up: dense in the middle, thin at the edge.
CREATE TEMP TABLE dice AS
SELECT i AS id, random() AS place, random() AS free, random() AS kind,
    random() + random() + random() - 1.5 AS east, random() + random() + random() - 1.5 AS north, random() AS age
FROM generate_series(1, :drivers) i;

CREATE TEMP TABLE fleet AS
SELECT d.id, c.longitude + d.east * c.spread_deg AS longitude, c.latitude + d.north * c.spread_deg AS latitude,
    CASE WHEN d.free < c.free THEN 'available' WHEN d.free < 0.95 THEN 'busy' ELSE 'offline' END AS status,
    CASE WHEN d.kind < 0.02 THEN 'wheelchair_accessible' WHEN d.kind < 0.3 THEN 'suv' WHEN d.kind < 0.5 THEN 'hatchback'
        ELSE 'sedan' END AS vehicle_type,
    make_interval(secs => 30 * d.age) AS age
FROM dice d
JOIN (SELECT *, sum(share) OVER (ORDER BY share DESC, name) AS upto FROM city) c
    ON d.place < c.upto AND d.place >= c.upto - c.share;

INSERT INTO mobility_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active,
    date_joined, phone, roles)
SELECT i, '!', false, 'bench' || i, 'Bench', 'Person ' || i, '', false, true, now(), '+27' || 100000000 + i,
    CASE WHEN i <= :drivers THEN '{driver}' ELSE '{passenger}' END::varchar[]
FROM generate_series(1, :drivers + :passengers) i;

INSERT INTO mobility_driver (id, user_id, phone, license_number, vehicle_registration, vehicle_type, status, rating,
    total_rides, verified, stationary, auto_accept, is_demo, shown_name)
SELECT id, id, '+27' || 100000000 + id, 'L' || id, 'R' || id, vehicle_type, status, 4.8, 0, true, false, true, false,
    'Bench Person ' || id
FROM fleet;

-- In the order of the dice, not of the map: neighbours lie on different pages, as they do after a day's driving.
INSERT INTO mobility_driver_location (driver_id, position, indexed_position, heading, speed, recorded_at, received_at, stationary,
    dispatchable, status, verified, vehicle_type)
SELECT id, ST_SetSRID(ST_MakePoint(longitude, latitude), 4326), ST_SetSRID(ST_MakePoint(longitude, latitude), 4326), 90, 8, now() - age, now(), false,
    status = 'available', status, true, vehicle_type
FROM fleet;

SET session_replication_role = origin;
DROP TABLE fleet, dice, city;
VACUUM ANALYZE mobility_user;
VACUUM ANALYZE mobility_driver;
VACUUM ANALYZE mobility_driver_location;
VACUUM ANALYZE mobility_booking;
VACUUM ANALYZE mobility_ride_event;
VACUUM ANALYZE mobility_offer;
VACUUM ANALYZE mobility_driver_inbox;
VACUUM ANALYZE mobility_driver_presence;
VACUUM ANALYZE mobility_search_round;
VACUUM ANALYZE mobility_search_considered;
CHECKPOINT;
