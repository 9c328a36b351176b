-- What the spatial indexes hold is a place of its own that follows the position at a distance, so that most new positions
-- touch no index at all (heap-only updates), and whoever tells nothing for too long leaves the index of matching.

ALTER TABLE mobility_driver_location
    ADD COLUMN indexed_position geometry(Point, 4326), ADD COLUMN stale boolean NOT NULL DEFAULT false;
UPDATE mobility_driver_location SET indexed_position = position;
ALTER TABLE mobility_driver_location
    ALTER COLUMN indexed_position SET NOT NULL,
    ADD CONSTRAINT location_within_index_slack CHECK (
        coalesce(ST_DistanceSphere(position, indexed_position) <= 75, false));

DO $$
DECLARE
    old_index text;
BEGIN
    FOR old_index IN
        SELECT indexname FROM pg_indexes
        WHERE tablename = 'mobility_driver_location' AND schemaname = 'public' AND indexdef LIKE '%USING gist%'
    LOOP
        EXECUTE format('DROP INDEX %I', old_index);
    END LOOP;
END
$$;
CREATE INDEX driver_location_dispatchable ON mobility_driver_location
    USING gist ((indexed_position::geography)) WHERE dispatchable;
CREATE INDEX driver_location_others ON mobility_driver_location
    USING gist ((indexed_position::geography)) WHERE NOT dispatchable;
CREATE INDEX driver_location_map ON mobility_driver_location USING gist (indexed_position);

CREATE OR REPLACE FUNCTION mobility_location_from_driver() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    SELECT d.status = 'available' AND d.verified, d.vehicle_type, d.stationary
    INTO NEW.dispatchable, NEW.vehicle_type, NEW.stationary
    FROM mobility_driver d WHERE d.id = NEW.driver_id
    FOR SHARE; -- else a change of the driver made meanwhile would pass this row by
    NEW.stale := false;
    NEW.indexed_position := NEW.position;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION mobility_driver_to_location() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE mobility_driver_location
    SET stale = stale AND NOT NEW.stationary,
        dispatchable = NEW.status = 'available' AND NEW.verified AND (NEW.stationary OR NOT stale),
        vehicle_type = NEW.vehicle_type,
        stationary = NEW.stationary
    WHERE driver_id = NEW.id;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION mobility_location_follows_driver() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM mobility_driver d
        WHERE d.id = NEW.driver_id AND (NEW.dispatchable, NEW.vehicle_type, NEW.stationary)
            = (d.status = 'available' AND d.verified AND NOT NEW.stale, d.vehicle_type, d.stationary)
            AND NOT (NEW.stale AND NEW.stationary)
    ) THEN
        RAISE EXCEPTION 'whether driver % can be matched follows from the driver''s own row', NEW.driver_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'location_follows_driver';
    END IF;
    RETURN NULL;
END
$$;

-- They refuse after the update instead of before it: a trigger before an update has every row locked by itself first,
-- which cost a position more than all the checks together.
DROP TRIGGER location_newest_wins ON mobility_driver_location;
DROP TRIGGER location_keeps_its_driver ON mobility_driver_location;
DROP TRIGGER location_follows_driver ON mobility_driver_location;
CREATE TRIGGER location_newest_wins AFTER UPDATE ON mobility_driver_location
    FOR EACH ROW WHEN (NEW.recorded_at < OLD.recorded_at) EXECUTE FUNCTION mobility_location_order();
CREATE TRIGGER location_keeps_its_driver AFTER UPDATE ON mobility_driver_location
    FOR EACH ROW WHEN (NEW.driver_id <> OLD.driver_id) EXECUTE FUNCTION mobility_location_order();
CREATE TRIGGER location_follows_driver AFTER UPDATE ON mobility_driver_location
    FOR EACH ROW WHEN ((OLD.dispatchable, OLD.vehicle_type, OLD.stationary, OLD.stale)
        IS DISTINCT FROM (NEW.dispatchable, NEW.vehicle_type, NEW.stationary, NEW.stale))
    EXECUTE FUNCTION mobility_location_follows_driver();
