-- The people of a chaos run, by psql as superuser in a migrated, empty database:
--   drivers     how many, verified, offline until their app says otherwise, within 2 km of the middle; users 1 to :drivers
--   passengers  how many, the users after them
-- Written as the service would: every guard is on.
\set ON_ERROR_STOP on
INSERT INTO mobility_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active,
    date_joined, phone, roles)
SELECT i, '!', false, 'chaos' || i, 'Chaos', 'Person ' || i, '', false, true, now(), '+27' || 100000000 + i,
    CASE WHEN i <= :drivers THEN '{driver}' ELSE '{passenger}' END::varchar[]
FROM generate_series(1, :drivers + :passengers) i;

INSERT INTO mobility_driver (id, user_id, phone, license_number, vehicle_registration, vehicle_type, status, rating,
    total_rides, verified, stationary, auto_accept, is_demo)
SELECT i, i, '+27' || 100000000 + i, 'L' || i, 'R' || i, 'sedan', 'offline', 4.8, 0, true, false, false, false
FROM generate_series(1, :drivers) i;

INSERT INTO mobility_driver_location (driver_id, position, recorded_at, received_at)
SELECT i, ST_SetSRID(ST_MakePoint(28.0473 + 0.002 * (i % 10), -26.2041 + 0.002 * (i / 10)), 4326), now(), now()
FROM generate_series(1, :drivers) i;
