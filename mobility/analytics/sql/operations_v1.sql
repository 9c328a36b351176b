-- What careconnect_operations reads: single rides, trips, offers and drivers, nobody by name.
-- Every view has a whole number that stands for its row first, times with zone, and units in its names. driver_key and
-- passenger_key stand for people, one key a month (sql/surrogates_v1.sql): of the month in which the ride was asked for.
-- No text that somebody wrote is in them: not the ride's own name, not notes, not reasons.

CREATE VIEW gis.drivers_now WITH (security_barrier) AS
SELECT mobility_surrogate_key(s.inner_block, s.outer_block, '\x647269766572', d.id) AS driver_key,
    l.position AS geom,
    d.status::text AS status,
    d.vehicle_type::text AS vehicle_type,
    d.verified,
    d.stationary,
    d.status <> 'offline' AND NOT d.stationary AND least(l.recorded_at, l.received_at) <= fresh.since AS silent,
    l.dispatchable AND (l.stationary OR least(l.recorded_at, l.received_at) > fresh.since) AS matchable,
    l.heading AS heading_deg,
    l.speed * 3.6 AS speed_km_h,
    l.recorded_at,
    l.received_at,
    extract(epoch FROM statement_timestamp() - l.recorded_at)::double precision AS age_s
FROM mobility_driver d
JOIN mobility_driver_location l ON l.driver_id = d.id
CROSS JOIN (
    SELECT statement_timestamp() - make_interval(secs => coalesce(
        (SELECT k.value FROM mobility_knob k WHERE k.name = 'stale_after_s'), 60)) AS since
) fresh
LEFT JOIN mobility_surrogate_secret s ON s.month = date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC')::date;

CREATE VIEW gis.rides WITH (security_barrier) AS
SELECT b.id,
    ST_Multi(mobility_ride_line(b.pickup, b.dropoff))::geometry(MultiLineString, 4326) AS geom,
    b.status::text AS status,
    mobility_surrogate_key(s.inner_block, s.outer_block, '\x70617373656e676572', b.passenger_id) AS passenger_key,
    mobility_surrogate_key(s.inner_block, s.outer_block, '\x647269766572', b.driver_id) AS driver_key,
    b.service_area_id,
    b.vehicle_type::text AS vehicle_type,
    b.requested_at,
    b.search_started_at,
    b.confirmed_at,
    b.arrived_at,
    b.started_at,
    b.completed_at,
    b.unfulfilled_at,
    b.no_show_at,
    b.cancelled_at,
    b.cancelled_by::text AS cancelled_by,
    CASE WHEN b.driver_id IS NOT NULL THEN
        extract(epoch FROM b.confirmed_at - b.requested_at)::double precision END AS waiting_s,
    CASE WHEN b.driver_id IS NOT NULL THEN
        extract(epoch FROM b.arrived_at - b.confirmed_at)::double precision END AS approach_s,
    extract(epoch FROM coalesce(b.completed_at, b.cancelled_at) - b.started_at)::double precision AS driven_s,
    b.distance_m,
    b.distance_origin::text AS distance_origin,
    b.duration_s AS estimated_s,
    b.fare_minor,
    b.fare_currency::text AS fare_currency,
    b.fare_origin::text AS fare_origin,
    b.search_radius_m,
    b.rounds AS search_rounds,
    b.releases::integer AS releases
FROM mobility_booking b
LEFT JOIN mobility_surrogate_secret s ON s.month = date_trunc('month', b.requested_at AT TIME ZONE 'UTC')::date;

CREATE VIEW gis.pickups WITH (security_barrier) AS
SELECT b.id,
    b.pickup AS geom,
    b.status::text AS status,
    mobility_surrogate_key(s.inner_block, s.outer_block, '\x70617373656e676572', b.passenger_id) AS passenger_key,
    mobility_surrogate_key(s.inner_block, s.outer_block, '\x647269766572', b.driver_id) AS driver_key,
    b.service_area_id,
    b.vehicle_type::text AS vehicle_type,
    b.requested_at,
    b.started_at AS picked_up_at,
    CASE WHEN b.driver_id IS NOT NULL THEN
        extract(epoch FROM b.confirmed_at - b.requested_at)::double precision END AS waiting_s
FROM mobility_booking b
LEFT JOIN mobility_surrogate_secret s ON s.month = date_trunc('month', b.requested_at AT TIME ZONE 'UTC')::date;

CREATE VIEW gis.dropoffs WITH (security_barrier) AS
SELECT b.id,
    b.dropoff AS geom,
    b.status::text AS status,
    mobility_surrogate_key(s.inner_block, s.outer_block, '\x70617373656e676572', b.passenger_id) AS passenger_key,
    mobility_surrogate_key(s.inner_block, s.outer_block, '\x647269766572', b.driver_id) AS driver_key,
    b.requested_at,
    b.completed_at AS dropped_off_at
FROM mobility_booking b
LEFT JOIN mobility_surrogate_secret s ON s.month = date_trunc('month', b.requested_at AT TIME ZONE 'UTC')::date;

CREATE VIEW gis.trips WITH (security_barrier) AS
SELECT t.booking_id AS id,
    t.track AS geom,
    b.status::text AS status,
    mobility_surrogate_key(s.inner_block, s.outer_block, '\x70617373656e676572', b.passenger_id) AS passenger_key,
    mobility_surrogate_key(s.inner_block, s.outer_block, '\x647269766572', b.driver_id) AS driver_key,
    t.started_at,
    t.ended_at,
    extract(epoch FROM t.ended_at - t.started_at)::double precision AS duration_s,
    t.length_m,
    way.straight_m,
    -- Nearer than 100 m a way has no direction, and with a leap its length is not all of it.
    CASE WHEN way.straight_m >= 100 AND t.leaps = 0 THEN t.length_m / way.straight_m END AS detour_ratio,
    t.length_m * 3.6 / nullif(extract(epoch FROM t.ended_at - t.started_at)::double precision, 0) AS mean_speed_km_h,
    t.approach_m,
    t.fixes,
    t.jumps,
    t.leaps,
    t.due_at IS NULL AS final
FROM mobility_trip t
JOIN mobility_booking b ON b.id = t.booking_id
CROSS JOIN LATERAL (
    SELECT ST_Distance(ST_StartPoint(t.track)::geography, ST_EndPoint(t.track)::geography) AS straight_m) way
LEFT JOIN mobility_surrogate_secret s ON s.month = date_trunc('month', b.requested_at AT TIME ZONE 'UTC')::date;

CREATE VIEW gis.offers WITH (security_barrier) AS
SELECT o.id,
    o.booking_id,
    o.round,
    mobility_surrogate_key(s.inner_block, s.outer_block, '\x647269766572', o.driver_id) AS driver_key,
    o.status::text AS status,
    o.reason::text AS withdrawn_because,
    o.origin::text AS origin,
    o.pickup_distance_m,
    o.offered_at,
    o.delivered_at,
    o.expires_at,
    o.settled_at,
    CASE WHEN o.origin = 'asked' AND o.status IN ('accepted', 'declined') THEN
        extract(epoch FROM o.settled_at - coalesce(o.delivered_at, o.offered_at))::double precision END AS answer_s
FROM mobility_offer o
JOIN mobility_booking b ON b.id = o.booking_id
LEFT JOIN mobility_surrogate_secret s ON s.month = date_trunc('month', b.requested_at AT TIME ZONE 'UTC')::date;

CREATE VIEW gis.matching WITH (security_barrier) AS
-- The rows of a round are never changed, so that counting them by distance numbers them for good. Room for 16,383 rounds a
-- ride and 1,023 drivers a round; JSON keeps every digit of it for the first 536 million rides.
SELECT (r.booking_id << 24) + (r.round::bigint << 10)
        + CASE WHEN c.driver_id IS NULL THEN 0 ELSE row_number() OVER (
            PARTITION BY r.booking_id, r.round, r.made_at ORDER BY c.distance_m, c.driver_id) END AS id,
    b.pickup AS geom,
    r.booking_id,
    r.round,
    r.made_at,
    r.strategy::text AS strategy,
    r.radius_m,
    r.outcome::text AS outcome,
    mobility_surrogate_key(s.inner_block, s.outer_block, '\x647269766572', c.driver_id) AS driver_key,
    c.distance_m,
    c.verdict::text AS verdict
FROM mobility_search_round r
JOIN mobility_booking b ON b.id = r.booking_id
LEFT JOIN mobility_search_considered c ON c.booking_id = r.booking_id AND c.round = r.round
LEFT JOIN mobility_surrogate_secret s ON s.month = date_trunc('month', b.requested_at AT TIME ZONE 'UTC')::date;

GRANT SELECT ON gis.drivers_now, gis.rides, gis.pickups, gis.dropoffs, gis.trips, gis.offers, gis.matching
    TO careconnect_operations, careconnect_app;
-- A function in a view is called by whoever reads the view. These two only compute.
GRANT EXECUTE ON FUNCTION mobility_surrogate_key(bytea, bytea, bytea, bigint), mobility_ride_line(geometry, geometry)
    TO careconnect_operations;

COMMENT ON VIEW gis.drivers_now IS 'Where each driver is who has ever told a position: the newest one.';
COMMENT ON COLUMN gis.drivers_now.driver_key IS 'Stands for the driver, this month (UTC).';
COMMENT ON COLUMN gis.drivers_now.geom IS 'The newest position, WGS 84.';
COMMENT ON COLUMN gis.drivers_now.status IS 'available, busy (has a ride) or offline.';
COMMENT ON COLUMN gis.drivers_now.vehicle_type IS 'sedan, hatchback, suv, minibus, wheelchair_accessible or ambulance.';
COMMENT ON COLUMN gis.drivers_now.verified IS 'Whether papers and vehicle were checked; only then matched.';
COMMENT ON COLUMN gis.drivers_now.stationary IS
    'A rank or a clinic''s own car: its position counts as fresh until it moves.';
COMMENT ON COLUMN gis.drivers_now.silent IS
    'On duty, not stationary, and without a position for longer than CARECONNECT_STALE_AFTER_S.';
COMMENT ON COLUMN gis.drivers_now.matchable IS
    'Whether matching finds this driver: available, verified, at a fresh position.';
COMMENT ON COLUMN gis.drivers_now.heading_deg IS
    'Degrees clockwise from true north, as the device measured; null where it did not.';
COMMENT ON COLUMN gis.drivers_now.speed_km_h IS 'Kilometres an hour, as the device measured; null where it did not.';
COMMENT ON COLUMN gis.drivers_now.recorded_at IS 'When the device measured the position, by its own clock.';
COMMENT ON COLUMN gis.drivers_now.received_at IS 'When the position came in, by the database''s clock.';
COMMENT ON COLUMN gis.drivers_now.age_s IS 'Seconds since recorded_at.';

COMMENT ON VIEW gis.rides IS 'Every ride that was asked for, as a line from pickup to dropoff.';
COMMENT ON COLUMN gis.rides.id IS 'The ride''s number, the same in every view.';
COMMENT ON COLUMN gis.rides.geom IS
    'As the crow flies, pickup to dropoff, WGS 84; two lines where that crosses the antimeridian.';
COMMENT ON COLUMN gis.rides.status IS
    'scheduled, pending (a driver is searched), confirmed, in_progress, unfulfilled, completed, cancelled or no_show.';
COMMENT ON COLUMN gis.rides.passenger_key IS
    'Stands for the passenger in the month (UTC) of requested_at; null: a guest, or too long ago.';
COMMENT ON COLUMN gis.rides.driver_key IS
    'Stands for the driver in the month (UTC) of requested_at; null: no driver, or too long ago.';
COMMENT ON COLUMN gis.rides.service_area_id IS
    'The service area the pickup lay in when the ride was asked for; null: none.';
COMMENT ON COLUMN gis.rides.vehicle_type IS 'What was asked for; null: anything.';
COMMENT ON COLUMN gis.rides.requested_at IS 'When the ride was asked for.';
COMMENT ON COLUMN gis.rides.search_started_at IS 'When the last search began.';
COMMENT ON COLUMN gis.rides.confirmed_at IS 'When a driver was found, the last time.';
COMMENT ON COLUMN gis.rides.arrived_at IS 'When the driver was at the pickup.';
COMMENT ON COLUMN gis.rides.started_at IS 'When the passenger was on the way.';
COMMENT ON COLUMN gis.rides.completed_at IS 'When the ride ended at the dropoff.';
COMMENT ON COLUMN gis.rides.unfulfilled_at IS 'When the last search ended without a driver.';
COMMENT ON COLUMN gis.rides.no_show_at IS 'When the driver reported that nobody came.';
COMMENT ON COLUMN gis.rides.cancelled_at IS 'When the ride was cancelled.';
COMMENT ON COLUMN gis.rides.cancelled_by IS 'passenger, driver, operator or system.';
COMMENT ON COLUMN gis.rides.waiting_s IS 'Seconds from requested_at to confirmed_at; null while there is no driver.';
COMMENT ON COLUMN gis.rides.approach_s IS 'Seconds from confirmed_at to arrived_at.';
COMMENT ON COLUMN gis.rides.driven_s IS 'Seconds from started_at to the ride''s end; null until then.';
COMMENT ON COLUMN gis.rides.distance_m IS 'Metres from pickup to dropoff, as distance_origin says.';
COMMENT ON COLUMN gis.rides.distance_origin IS 'client: the app''s own figure by road; geodesic: as the crow flies.';
COMMENT ON COLUMN gis.rides.estimated_s IS 'Seconds the app expected the ride to take; null where it did not say.';
COMMENT ON COLUMN gis.rides.fare_minor IS 'The fare in minor units (cents); null where none was agreed.';
COMMENT ON COLUMN gis.rides.fare_currency IS 'ISO 4217.';
COMMENT ON COLUMN gis.rides.fare_origin IS 'client, or none.';
COMMENT ON COLUMN gis.rides.search_radius_m IS
    'Metres from the pickup within which drivers are asked; null: the service''s own setting.';
COMMENT ON COLUMN gis.rides.search_rounds IS 'How often the service has looked for drivers.';
COMMENT ON COLUMN gis.rides.releases IS 'How often a driver gave the ride back or was lost.';

COMMENT ON VIEW gis.pickups IS 'Where each ride begins.';
COMMENT ON COLUMN gis.pickups.id IS 'The ride''s number, the same in every view.';
COMMENT ON COLUMN gis.pickups.geom IS 'The pickup, WGS 84.';
COMMENT ON COLUMN gis.pickups.status IS 'As in gis.rides.';
COMMENT ON COLUMN gis.pickups.passenger_key IS 'As in gis.rides.';
COMMENT ON COLUMN gis.pickups.driver_key IS 'As in gis.rides.';
COMMENT ON COLUMN gis.pickups.service_area_id IS 'As in gis.rides.';
COMMENT ON COLUMN gis.pickups.vehicle_type IS 'What was asked for; null: anything.';
COMMENT ON COLUMN gis.pickups.requested_at IS 'When the ride was asked for.';
COMMENT ON COLUMN gis.pickups.picked_up_at IS 'When the ride began; null: it has not.';
COMMENT ON COLUMN gis.pickups.waiting_s IS
    'Seconds from requested_at until a driver was found; null while there is none.';

COMMENT ON VIEW gis.dropoffs IS 'Where each ride ends, or was to end.';
COMMENT ON COLUMN gis.dropoffs.id IS 'The ride''s number, the same in every view.';
COMMENT ON COLUMN gis.dropoffs.geom IS 'The dropoff that was asked for, WGS 84.';
COMMENT ON COLUMN gis.dropoffs.status IS 'As in gis.rides.';
COMMENT ON COLUMN gis.dropoffs.passenger_key IS 'As in gis.rides.';
COMMENT ON COLUMN gis.dropoffs.driver_key IS 'As in gis.rides.';
COMMENT ON COLUMN gis.dropoffs.requested_at IS 'When the ride was asked for.';
COMMENT ON COLUMN gis.dropoffs.dropped_off_at IS 'When the ride was completed there; null: it was not.';

COMMENT ON VIEW gis.trips IS 'What was driven: the way of each ride that was begun and is over.';
COMMENT ON COLUMN gis.trips.id IS 'The ride''s number, the same in every view.';
COMMENT ON COLUMN gis.trips.geom IS
    'From start to end, WGS 84, simplified to 5 m; null where fewer than two positions are known.';
COMMENT ON COLUMN gis.trips.status IS 'completed, or cancelled on the way.';
COMMENT ON COLUMN gis.trips.passenger_key IS 'As in gis.rides.';
COMMENT ON COLUMN gis.trips.driver_key IS 'As in gis.rides.';
COMMENT ON COLUMN gis.trips.started_at IS 'When the ride began.';
COMMENT ON COLUMN gis.trips.ended_at IS 'When it ended.';
COMMENT ON COLUMN gis.trips.duration_s IS 'Seconds from started_at to ended_at.';
COMMENT ON COLUMN gis.trips.length_m IS 'Metres along every position that is no jump; null where geom is.';
COMMENT ON COLUMN gis.trips.straight_m IS 'Metres from the first to the last position, as the crow flies.';
COMMENT ON COLUMN gis.trips.detour_ratio IS
    'length_m by straight_m; null below 100 m of straight_m, and where part of the way is not known.';
COMMENT ON COLUMN gis.trips.mean_speed_km_h IS 'length_m by duration_s, in kilometres an hour, stops included.';
COMMENT ON COLUMN gis.trips.approach_m IS 'Metres the driver drove to the pickup; null where that is not known.';
COMMENT ON COLUMN gis.trips.fixes IS 'Positions that the way is made of.';
COMMENT ON COLUMN gis.trips.jumps IS 'Positions that were left out, because nobody drives that fast.';
COMMENT ON COLUMN gis.trips.leaps IS 'How often the way goes on elsewhere; those parts are drawn, but not in length_m.';
COMMENT ON COLUMN gis.trips.final IS 'Whether it stays as it is; until then late positions may come.';

COMMENT ON VIEW gis.offers IS 'Whom a ride was offered to, and how it ended: acceptance, refusals and answer times.';
COMMENT ON COLUMN gis.offers.id IS 'The offer''s number.';
COMMENT ON COLUMN gis.offers.booking_id IS 'The ride: id in gis.rides.';
COMMENT ON COLUMN gis.offers.round IS 'In which of the ride''s search rounds; with booking_id as in gis.matching.';
COMMENT ON COLUMN gis.offers.driver_key IS
    'Stands for the driver in the month (UTC) in which the ride was asked for; null: too long ago.';
COMMENT ON COLUMN gis.offers.status IS
    'pending, accepted, declined, expired, withdrawn, or released (taken, and given back).';
COMMENT ON COLUMN gis.offers.withdrawn_because IS
    'taken (by another), ride_cancelled, driver_gone, undelivered or search_over; null: not withdrawn.';
COMMENT ON COLUMN gis.offers.origin IS
    'asked, auto_accept (takes every ride), auto_assign (the service binds) or operator (by hand).';
COMMENT ON COLUMN gis.offers.pickup_distance_m IS
    'Metres from the driver to the pickup, as the crow flies, when it was offered.';
COMMENT ON COLUMN gis.offers.offered_at IS 'When it was offered.';
COMMENT ON COLUMN gis.offers.delivered_at IS 'When it reached the driver''s app; null: it did not.';
COMMENT ON COLUMN gis.offers.expires_at IS 'Until when it could be accepted; null: nobody was asked.';
COMMENT ON COLUMN gis.offers.settled_at IS
    'When it was answered, ran out, or was withdrawn or given back; null: still open.';
COMMENT ON COLUMN gis.offers.answer_s IS
    'Seconds from delivered_at to the answer, of drivers who were asked and accepted or declined.';

COMMENT ON VIEW gis.matching IS
    'How drivers were chosen: each search round with every driver it considered, and why not. Kept for
CARECONNECT_EXPLAIN_KEEP_DAYS.';
COMMENT ON COLUMN gis.matching.id IS 'Stands for the driver in this round; of a round without drivers for the round.';
COMMENT ON COLUMN gis.matching.geom IS 'The pickup, WGS 84.';
COMMENT ON COLUMN gis.matching.booking_id IS 'The ride: id in gis.rides.';
COMMENT ON COLUMN gis.matching.round IS 'The round''s number, from 1.';
COMMENT ON COLUMN gis.matching.made_at IS 'When the service looked.';
COMMENT ON COLUMN gis.matching.strategy IS 'How it chose.';
COMMENT ON COLUMN gis.matching.radius_m IS 'Metres from the pickup within which drivers could be asked.';
COMMENT ON COLUMN gis.matching.outcome IS 'assigned, asked, waiting (somebody may become free), or nobody.';
COMMENT ON COLUMN gis.matching.driver_key IS
    'Stands for the driver in the month (UTC) in which the ride was asked for; null: nobody near, or too long ago.';
COMMENT ON COLUMN gis.matching.distance_m IS 'Metres from the driver to the pickup, as the crow flies.';
COMMENT ON COLUMN gis.matching.verdict IS
    'assigned, asked, not_needed (others were nearer), or the first rule that ruled the
driver out: own_ride, unverified, offline, vehicle_type, too_far, stale, busy, released, declined, expired, asked_already,
asked_elsewhere, unreachable; null: nobody near.';
