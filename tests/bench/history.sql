-- Positions of the last days, run by psql as superuser in a database with a fleet: every driver tells one every so often, all
-- day long, in the order in which they come in, as the ingest writes them.
--   drivers     the fleet's
--   rows        how many positions in all
--   days        over how many days, the last of which ended at midnight (UTC)
\set ON_ERROR_STOP on
SET session_replication_role = replica;
SET synchronous_commit = off;
SET timezone = 'UTC';
SELECT mobility_make_position_days(current_date - :days, current_date - 1) \g /dev/null
SELECT (86400.0 * :days) / (:rows / :drivers) AS every_s \gset
INSERT INTO mobility_position (driver_id, recorded_at, received_at, position, heading, speed, accuracy_m, door)
SELECT d, at, at + interval '1 second',
    ST_SetSRID(ST_MakePoint(28.05 + 0.0001 * (d % 997) + 0.00001 * (turn % 89), -26.25 + 0.0001 * (d % 991)), 4326),
    d % 360, 8, 10, 'fleet'
FROM generate_series(0, :rows / :drivers - 1) AS turn CROSS JOIN generate_series(1, :drivers) AS d
CROSS JOIN LATERAL (
    SELECT (current_date - :days)::timestamptz + make_interval(secs => :every_s * (turn + d::float8 / (:drivers + 1))) AS at
) told
ORDER BY turn, d;
-- Each driver has had a ride of twenty minutes every two hours.
INSERT INTO mobility_booking (id, ride_id, passenger_phone, driver_id, offer_id, status, seq, pickup, pickup_address, dropoff,
    dropoff_address, notes, distance_m, distance_origin, fare_currency, fare_origin, request_digest, requested_at,
    search_started_at, confirmed_at, started_at, completed_at, search_until,
    due_at, cancellation_reason)
SELECT row_number() OVER (), 'bench', '', d, 1, 'completed', 4, ST_SetSRID(ST_MakePoint(28.05, -26.25), 4326), '',
    ST_SetSRID(ST_MakePoint(28.06, -26.26), 4326), '', '', 2000, 'geodesic', 'ZAR', 'none', '', at, at, at, at,
    at + interval '20 minutes', NULL,
    NULL, ''
FROM generate_series(0, 12 * :days - 1) AS turn CROSS JOIN generate_series(1, :drivers) AS d
CROSS JOIN LATERAL (SELECT (current_date - :days)::timestamptz + make_interval(hours => 2 * turn, secs => 7200.0 * d / :drivers) AS at) asked;
SET session_replication_role = origin;
VACUUM ANALYZE mobility_position;
VACUUM ANALYZE mobility_booking;
CHECKPOINT;
