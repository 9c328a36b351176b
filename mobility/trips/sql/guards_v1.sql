-- A trip is of a ride that was driven and is over, lies on Earth, and is kept.

ALTER TABLE mobility_trip ADD CONSTRAINT trip_track_on_earth CHECK (track IS NULL OR coalesce(
    ST_XMin(track) >= -180 AND ST_XMax(track) <= 180 AND ST_YMin(track) >= -90 AND ST_YMax(track) <= 90
    AND ST_Length(track) < 1e9, false)); -- NaN, which no box shows, makes the length NaN, above every number

CREATE FUNCTION mobility_trip_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM mobility_booking b
        WHERE b.id = NEW.booking_id AND b.status IN ('cancelled', 'completed')
            AND b.started_at = NEW.started_at AND coalesce(b.completed_at, b.cancelled_at) = NEW.ended_at) THEN
        RAISE EXCEPTION 'booking % was not driven from % to %', NEW.booking_id, NEW.started_at, NEW.ended_at
            USING ERRCODE = 'check_violation', CONSTRAINT = 'trip_is_of_a_driven_ride';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER trip_guard BEFORE INSERT OR UPDATE ON mobility_trip
    FOR EACH ROW EXECUTE FUNCTION mobility_trip_guard();

REVOKE DELETE ON mobility_trip FROM careconnect_app;

COMMENT ON TABLE mobility_trip IS
    'What was driven: one row a ride that was begun and is over. The positions it was made of are dropped after some weeks.';
COMMENT ON COLUMN mobility_trip.track IS 'Simplified to 5 m; null when fewer than two positions are known.';
COMMENT ON COLUMN mobility_trip.length_m IS 'Metres on the ellipsoid from position to position, without jumps and leaps.';
COMMENT ON COLUMN mobility_trip.approach_m IS 'The same for the way to the pickup; null when it is not known.';
COMMENT ON COLUMN mobility_trip.fixes IS 'Positions from the start to the end that the track is made of.';
COMMENT ON COLUMN mobility_trip.jumps IS 'Positions left out of it: see mobility_driver_fixes.';
COMMENT ON COLUMN mobility_trip.leaps IS 'Legs that the line has, but the length has not: see mobility_driver_fixes.';
COMMENT ON COLUMN mobility_trip.started_at IS 'The booking''s started_at.';
COMMENT ON COLUMN mobility_trip.ended_at IS 'The booking''s completed_at, or cancelled_at.';
COMMENT ON COLUMN mobility_trip.made_at IS 'When the positions were last looked at.';
COMMENT ON COLUMN mobility_trip.due_at IS 'When they are looked at again for late ones; null: never, this is final.';
