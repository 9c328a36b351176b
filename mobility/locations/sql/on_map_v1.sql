-- A map's tile is drawn from the positions alone: status and verification stand beside them, as vehicle type and
-- stationary do already. Whoever changes them writes this row anyway, because of `dispatchable`.

ALTER TABLE mobility_driver_location
    ADD COLUMN status varchar(16) NOT NULL DEFAULT 'offline', ADD COLUMN verified boolean NOT NULL DEFAULT false;
ALTER TABLE mobility_driver_location DISABLE TRIGGER USER;
UPDATE mobility_driver_location l SET status = d.status, verified = d.verified
FROM mobility_driver d WHERE d.id = l.driver_id;
ALTER TABLE mobility_driver_location ENABLE TRIGGER USER;

CREATE OR REPLACE FUNCTION mobility_location_from_driver() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    SELECT d.status = 'available' AND d.verified, d.status, d.verified, d.vehicle_type, d.stationary
    INTO NEW.dispatchable, NEW.status, NEW.verified, NEW.vehicle_type, NEW.stationary
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
        status = NEW.status,
        verified = NEW.verified,
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
        WHERE d.id = NEW.driver_id
            AND (NEW.dispatchable, NEW.status, NEW.verified, NEW.vehicle_type, NEW.stationary)
                = (d.status = 'available' AND d.verified AND NOT NEW.stale, d.status, d.verified, d.vehicle_type,
                    d.stationary)
            AND NOT (NEW.stale AND NEW.stationary)
    ) THEN
        RAISE EXCEPTION 'what stands beside the position of driver % follows from the driver''s own row', NEW.driver_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'location_follows_driver';
    END IF;
    RETURN NULL;
END
$$;

DROP TRIGGER location_follows_driver ON mobility_driver_location;
CREATE TRIGGER location_follows_driver AFTER UPDATE ON mobility_driver_location
    FOR EACH ROW WHEN ((OLD.dispatchable, OLD.status, OLD.verified, OLD.vehicle_type, OLD.stationary, OLD.stale)
        IS DISTINCT FROM (NEW.dispatchable, NEW.status, NEW.verified, NEW.vehicle_type, NEW.stationary, NEW.stale))
    EXECUTE FUNCTION mobility_location_follows_driver();
