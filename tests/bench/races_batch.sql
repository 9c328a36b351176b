-- One batch of races, as the service would have left it a moment ago, run by psql as superuser: `rides` rides from the
-- number `first` on, each searched for and offered to `asked` drivers who have it on their screens. Ride by ride the
-- next drivers and passengers of races.sql. Guards are off while it loads; check_invariants holds after it.
\set ON_ERROR_STOP on
SET session_replication_role = replica;
SET synchronous_commit = off;

INSERT INTO mobility_booking (id, ride_id, passenger_id, passenger_phone, status, seq, pickup, pickup_address, dropoff,
    dropoff_address, notes, distance_m, distance_origin, duration_s, fare_minor, fare_currency, fare_origin,
    request_digest, cancellation_reason, search_until, due_at, rounds)
SELECT :first + n, :first + n, :asked * :rides + 1 + n, '', 'pending', 1,
    ST_SetSRID(ST_MakePoint(28.05, -26.25), 4326), '123 Main St', ST_SetSRID(ST_MakePoint(28.15, -26.10), 4326),
    '456 Oak St', '', 15000, 'client', 1500, 15000, 'ZAR', 'client', '', '', now() + interval '1 hour',
    now() + interval '1 hour', 1
FROM generate_series(0, :rides - 1) n;

INSERT INTO mobility_ride_event (booking_id, seq, event, from_status, to_status, actor_id, actor_role, occurred_at,
    payload)
SELECT id, 1, 'ride_requested', '', 'pending', passenger_id, 'passenger', requested_at, '{}' FROM mobility_booking;

INSERT INTO mobility_offer (id, booking_id, driver_id, round, status, origin, pickup_distance_m, decline_reason,
    offered_at, delivered_at, due_at, expires_at)
SELECT :asked * :first + n, :first + (n - 1) / :asked, n, 1, 'pending', 'asked', 500, '', now(), now(),
    now() + interval '1 hour', now() + interval '1 hour'
FROM generate_series(1, :asked * :rides) n;

INSERT INTO mobility_driver_inbox (driver_id, seq, kind, booking_id, offer_id, reason, occurred_at)
SELECT driver_id, 1, 'ride_request', booking_id, id, '', now() FROM mobility_offer;

UPDATE mobility_driver SET inbox_seq = 1;

TRUNCATE races.try;
ALTER SEQUENCE races.turn RESTART;
SET session_replication_role = origin;
VACUUM ANALYZE mobility_driver;
VACUUM ANALYZE mobility_booking;
VACUUM ANALYZE mobility_ride_event;
VACUUM ANALYZE mobility_offer;
VACUUM ANALYZE mobility_driver_inbox;
CHECKPOINT;
