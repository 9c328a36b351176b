-- What matching reads beside a position repeats the driver's own row: only the trigger there changes it.

CREATE FUNCTION mobility_location_follows_driver() RETURNS trigger
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
CREATE TRIGGER location_follows_driver BEFORE UPDATE ON mobility_driver_location
    FOR EACH ROW WHEN ((OLD.dispatchable, OLD.vehicle_type, OLD.stationary)
        IS DISTINCT FROM (NEW.dispatchable, NEW.vehicle_type, NEW.stationary))
    EXECUTE FUNCTION mobility_location_follows_driver();
