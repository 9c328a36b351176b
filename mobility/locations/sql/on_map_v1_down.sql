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

DROP TRIGGER location_follows_driver ON mobility_driver_location;
CREATE TRIGGER location_follows_driver AFTER UPDATE ON mobility_driver_location
    FOR EACH ROW WHEN ((OLD.dispatchable, OLD.vehicle_type, OLD.stationary, OLD.stale)
        IS DISTINCT FROM (NEW.dispatchable, NEW.vehicle_type, NEW.stationary, NEW.stale))
    EXECUTE FUNCTION mobility_location_follows_driver();

ALTER TABLE mobility_driver_location DROP COLUMN status, DROP COLUMN verified;
