DROP TRIGGER location_newest_wins ON mobility_driver_location;
DROP TRIGGER location_keeps_its_driver ON mobility_driver_location;
DROP TRIGGER location_follows_driver ON mobility_driver_location;

CREATE OR REPLACE FUNCTION mobility_location_from_driver() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    SELECT d.status = 'available' AND d.verified, d.vehicle_type, d.stationary
    INTO NEW.dispatchable, NEW.vehicle_type, NEW.stationary
    FROM mobility_driver d WHERE d.id = NEW.driver_id
    FOR SHARE;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION mobility_driver_to_location() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE mobility_driver_location
    SET dispatchable = NEW.status = 'available' AND NEW.verified,
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
            = (d.status = 'available' AND d.verified, d.vehicle_type, d.stationary)
    ) THEN
        RAISE EXCEPTION 'whether driver % can be matched follows from the driver''s own row', NEW.driver_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'location_follows_driver';
    END IF;
    RETURN NEW;
END
$$;

UPDATE mobility_driver_location l SET dispatchable = d.status = 'available' AND d.verified
FROM mobility_driver d WHERE d.id = l.driver_id AND l.stale;

CREATE TRIGGER location_newest_wins BEFORE UPDATE ON mobility_driver_location
    FOR EACH ROW WHEN (NEW.recorded_at < OLD.recorded_at) EXECUTE FUNCTION mobility_location_order();
CREATE TRIGGER location_keeps_its_driver BEFORE UPDATE ON mobility_driver_location
    FOR EACH ROW WHEN (NEW.driver_id <> OLD.driver_id) EXECUTE FUNCTION mobility_location_order();
CREATE TRIGGER location_follows_driver BEFORE UPDATE ON mobility_driver_location
    FOR EACH ROW WHEN ((OLD.dispatchable, OLD.vehicle_type, OLD.stationary)
        IS DISTINCT FROM (NEW.dispatchable, NEW.vehicle_type, NEW.stationary))
    EXECUTE FUNCTION mobility_location_follows_driver();

ALTER TABLE mobility_driver_location
    DROP CONSTRAINT location_within_index_slack, DROP COLUMN indexed_position, DROP COLUMN stale;
CREATE INDEX mobility_driver_location_position ON mobility_driver_location USING gist (position);
CREATE INDEX driver_location_dispatchable ON mobility_driver_location
    USING gist ((position::geography)) WHERE dispatchable;
CREATE INDEX driver_location_others ON mobility_driver_location
    USING gist ((position::geography)) WHERE NOT dispatchable;
