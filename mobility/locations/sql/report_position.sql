-- A driver's position by their own device: the newest wins, by the device's clock.
WITH told AS (
    SELECT d.id, coalesce(%(recorded_at)s::timestamptz, statement_timestamp()) AS recorded_at
    FROM mobility_driver d WHERE d.id = %(driver_id)s
), kept AS (
    SELECT id, recorded_at FROM told WHERE recorded_at <= statement_timestamp() + interval '1 minute'
), written AS (
    INSERT INTO mobility_driver_location AS l (
        driver_id, position, heading, speed, recorded_at, received_at, stationary, dispatchable, vehicle_type)
    SELECT id, ST_SetSRID(ST_MakePoint(%(longitude)s, %(latitude)s), 4326), %(heading)s, %(speed)s, recorded_at,
        statement_timestamp(), false, false, ''
    FROM kept
    ON CONFLICT (driver_id) DO UPDATE
    SET position = EXCLUDED.position, heading = EXCLUDED.heading, speed = EXCLUDED.speed,
        recorded_at = EXCLUDED.recorded_at, received_at = EXCLUDED.received_at
    WHERE l.recorded_at <= EXCLUDED.recorded_at
    RETURNING driver_id
), moving AS (
    UPDATE mobility_driver d SET stationary = false FROM written WHERE d.id = written.driver_id AND d.stationary
)
SELECT NOT EXISTS (SELECT FROM kept) AS too_early
