-- Positions are on Earth, in order, not from the future; the columns matching reads follow the driver's own row.

ALTER TABLE mobility_driver_location
    ADD CONSTRAINT location_position_on_earth CHECK (coalesce(
        ST_X(position) BETWEEN -180 AND 180 AND ST_Y(position) BETWEEN -90 AND 90, false)),
    ADD CONSTRAINT location_not_from_the_future CHECK (recorded_at <= received_at + interval '1 minute');

-- Half of each page stays free, so that a new position can stand beside the old one; the table is small and every row
-- is rewritten all the time, so it is vacuumed early and often.
ALTER TABLE mobility_driver_location SET (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE FUNCTION mobility_location_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the position of driver % cannot be replaced by an older one or moved to another driver', OLD.driver_id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'location_newest_wins';
END
$$;
CREATE TRIGGER location_newest_wins BEFORE UPDATE ON mobility_driver_location
    FOR EACH ROW WHEN (NEW.recorded_at < OLD.recorded_at) EXECUTE FUNCTION mobility_location_order();

CREATE TRIGGER location_keeps_its_driver BEFORE UPDATE ON mobility_driver_location
    FOR EACH ROW WHEN (NEW.driver_id <> OLD.driver_id) EXECUTE FUNCTION mobility_location_order();

CREATE FUNCTION mobility_location_from_driver() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    SELECT d.status = 'available' AND d.verified, d.vehicle_type, d.stationary
    INTO NEW.dispatchable, NEW.vehicle_type, NEW.stationary
    FROM mobility_driver d WHERE d.id = NEW.driver_id
    FOR SHARE; -- else a change of the driver made meanwhile would pass this row by
    RETURN NEW;
END
$$;
CREATE TRIGGER location_from_driver BEFORE INSERT ON mobility_driver_location
    FOR EACH ROW EXECUTE FUNCTION mobility_location_from_driver();

CREATE FUNCTION mobility_driver_to_location() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE mobility_driver_location
    SET dispatchable = NEW.status = 'available' AND NEW.verified,
        vehicle_type = NEW.vehicle_type,
        stationary = NEW.stationary
    WHERE driver_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER driver_to_location AFTER UPDATE OF status, verified, vehicle_type, stationary ON mobility_driver
    FOR EACH ROW WHEN ((OLD.status, OLD.verified, OLD.vehicle_type, OLD.stationary)
        IS DISTINCT FROM (NEW.status, NEW.verified, NEW.vehicle_type, NEW.stationary))
    EXECUTE FUNCTION mobility_driver_to_location();
