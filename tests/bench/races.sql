-- Who races, run by psql as superuser in a migrated, empty database: `drivers` drivers, free and asked for nothing yet, in
-- one city, and `passengers` passengers with the ids after theirs. And where each try is written down.
\set ON_ERROR_STOP on
SET session_replication_role = replica;
SET synchronous_commit = off;
SELECT setseed(:seed) \g /dev/null

INSERT INTO mobility_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active,
    date_joined, phone, roles)
SELECT i, '!', false, 'race' || i, 'Race', 'Person ' || i, '', false, true, now(), '+27' || 100000000 + i,
    CASE WHEN i <= :drivers THEN '{driver}' ELSE '{passenger}' END::varchar[]
FROM generate_series(1, :drivers + :passengers) i;

INSERT INTO mobility_driver (id, user_id, phone, license_number, vehicle_registration, vehicle_type, status, rating,
    total_rides, verified, stationary, is_demo)
SELECT i, i, '+27' || 100000000 + i, 'L' || i, 'R' || i, 'sedan', 'available', 4.8, 0, true, false, false
FROM generate_series(1, :drivers) i;

INSERT INTO mobility_driver_location (driver_id, position, indexed_position, heading, speed, recorded_at, received_at, stationary,
    dispatchable, status, verified, vehicle_type)
SELECT i, place, place, 90, 8, now(), now(), false, true, 'available', true, 'sedan'
FROM (SELECT i, ST_SetSRID(ST_MakePoint(28.0 + 0.1 * random(), -26.3 + 0.1 * random()), 4326) AS place
    FROM generate_series(1, :drivers) i) places;

-- A turn is one accept: turns count up, whichever client takes them, so that those of one ride come at about the same
-- time. What became of it is written after its transaction; unlogged, so that no accept waits for this.
CREATE SCHEMA races;
CREATE SEQUENCE races.turn CACHE 1;
CREATE UNLOGGED TABLE races.try (
    turn bigint NOT NULL, booking_id bigint NOT NULL, driver_id bigint NOT NULL, outcome text NOT NULL,
    began_us bigint NOT NULL,
    ended_us bigint NOT NULL DEFAULT (1e6 * extract(epoch FROM clock_timestamp()))::bigint);
GRANT USAGE ON SCHEMA races TO careconnect_app;
GRANT USAGE ON SEQUENCE races.turn TO careconnect_app;
GRANT INSERT ON races.try TO careconnect_app;

SET session_replication_role = origin;
VACUUM ANALYZE mobility_user;
VACUUM ANALYZE mobility_driver;
VACUUM ANALYZE mobility_driver_location;
CHECKPOINT;
