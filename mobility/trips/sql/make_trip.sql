-- Make the trip of a ride that is over out of its driver's positions, unless it is there and not due. It is due again a
-- while later, each time three times as old, until no late position can come any more.
WITH ride AS MATERIALIZED (
    SELECT b.id, b.driver_id, b.confirmed_at, b.started_at, coalesce(b.completed_at, b.cancelled_at) AS ended_at
    FROM mobility_booking b
    WHERE b.id = %(booking_id)s AND b.status IN ('cancelled', 'completed')
        AND b.started_at > statement_timestamp() - make_interval(days => %(keep_days)s)
        AND NOT EXISTS (
            SELECT FROM mobility_trip t
            WHERE t.booking_id = b.id AND (t.due_at IS NULL OR t.due_at > statement_timestamp()))
), fix AS MATERIALIZED (
    SELECT f.position, f.recorded_at, f.jump, f.leap
    FROM ride CROSS JOIN LATERAL mobility_driver_fixes(
        ride.driver_id, ride.started_at, least(ride.ended_at, ride.started_at + make_interval(hours => %(longest_hours)s)),
        %(jump_km_h)s) f
), leg AS (
    SELECT position, recorded_at, leap AND count(*) OVER past > 1 AS leap,
        CASE WHEN NOT leap THEN ST_Distance(position::geography, lag(position::geography) OVER past) END AS metres
    FROM fix WHERE NOT jump WINDOW past AS (ORDER BY recorded_at)
), way AS MATERIALIZED (
    -- When each position was, goes along as the line's measure, in seconds of the Unix clock.
    SELECT count(*) AS fixes, count(*) FILTER (WHERE leap) AS leaps, coalesce(sum(metres), 0) AS length_m,
        ST_MakeLine(ST_SetSRID(ST_MakePointM(ST_X(position), ST_Y(position), extract(epoch FROM recorded_at)), 4326)
            ORDER BY recorded_at) AS line,
        (array_agg(position ORDER BY recorded_at))[1] AS first
    FROM leg
), plane AS (
    -- Metres around the first position, anywhere on Earth, also over the antimeridian and the poles.
    SELECT format('+proj=aeqd +lat_0=%%s +lon_0=%%s +datum=WGS84 +units=m', ST_Y(first), ST_X(first)) AS proj FROM way
), drawn AS (
    SELECT CASE WHEN way.fixes > 1 THEN ST_Transform(
        ST_Simplify(ST_Transform(way.line, plane.proj), %(tolerance_m)s, true), plane.proj, 4326) END AS line
    FROM way, plane
), approach AS (
    SELECT sum(metres) AS length_m FROM (
        SELECT CASE WHEN NOT f.leap THEN ST_Distance(
            f.position::geography, lag(f.position::geography) OVER (ORDER BY f.recorded_at)) END AS metres
        FROM ride CROSS JOIN LATERAL mobility_driver_fixes(
            ride.driver_id, greatest(ride.confirmed_at, ride.started_at - make_interval(hours => %(longest_hours)s)),
            ride.started_at, %(jump_km_h)s) f
        WHERE NOT f.jump) legs
)
INSERT INTO mobility_trip AS t (
    booking_id, track, times, length_m, approach_m, fixes, jumps, leaps, started_at, ended_at, made_at, due_at)
SELECT ride.id, ST_Force2D(drawn.line),
    ARRAY(SELECT to_timestamp(ST_M(v.geom)) FROM ST_DumpPoints(drawn.line) v ORDER BY v.path),
    CASE WHEN way.fixes > 1 THEN way.length_m END, approach.length_m, way.fixes,
    (SELECT count(*) FROM fix WHERE jump), way.leaps, ride.started_at, ride.ended_at, statement_timestamp(),
    CASE WHEN statement_timestamp() < ride.ended_at + make_interval(hours => %(late_hours)s, mins => 1) THEN least(
        ride.ended_at + make_interval(hours => %(late_hours)s, mins => 1), greatest(
            statement_timestamp() + make_interval(secs => %(again_after_s)s),
            ride.ended_at + 3 * (statement_timestamp() - ride.ended_at))) END
FROM ride, way, approach, drawn
ON CONFLICT (booking_id) DO UPDATE
SET track = EXCLUDED.track, times = EXCLUDED.times, length_m = EXCLUDED.length_m, approach_m = EXCLUDED.approach_m, fixes = EXCLUDED.fixes,
    jumps = EXCLUDED.jumps, leaps = EXCLUDED.leaps, made_at = EXCLUDED.made_at, due_at = EXCLUDED.due_at
RETURNING t.booking_id, t.fixes, t.jumps, t.length_m, t.due_at IS NULL AS final
