-- What maps show of a driver and what seldom changes is made when it changes, not whenever somebody looks: the name that people
-- see, which is the user's, and the properties of the driver's GeoJSON feature as text. Of 10,000 drivers as GeoJSON, the join
-- for the names and writing these properties took half the time (docs/performance.md).

CREATE FUNCTION mobility_json_text(value text) RETURNS text
-- to_json is only stable, because of the values that depend on the session's time zone; text does not.
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN to_json(value)::text;
END
$$;

ALTER TABLE mobility_driver ADD COLUMN shown_name text NOT NULL DEFAULT '';
ALTER TABLE mobility_driver DISABLE TRIGGER USER;
UPDATE mobility_driver d SET shown_name = {{people/sql/display_name}} FROM mobility_user u WHERE u.id = d.user_id;
ALTER TABLE mobility_driver ENABLE TRIGGER USER;
ALTER TABLE mobility_driver
    ADD COLUMN personal_card text GENERATED ALWAYS AS (
        '"name":' || mobility_json_text(shown_name) || ',"phone":"' || mobility_masked_phone(phone)
        || '","vehicle_registration":' || mobility_json_text(vehicle_registration)) STORED,
    ADD COLUMN card text GENERATED ALWAYS AS (
        '"vehicle_type":"' || vehicle_type || '","rating":' || rating::text || ',"total_rides":' || total_rides::text
        || CASE WHEN verified THEN ',"verified":true' ELSE ',"verified":false' END
        || CASE WHEN stationary THEN ',"stationary":true' ELSE ',"stationary":false' END) STORED;

-- Whatever is written into the name becomes what the user is called.
CREATE FUNCTION mobility_driver_shown_name() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    SELECT {{people/sql/display_name}} INTO NEW.shown_name FROM mobility_user u WHERE u.id = NEW.user_id
    FOR SHARE; -- else a name that changes meanwhile would pass this row by
    NEW.shown_name := coalesce(NEW.shown_name, ''); -- no such user: the foreign key says so
    RETURN NEW;
END
$$;
CREATE TRIGGER driver_name_of_user BEFORE INSERT ON mobility_driver
    FOR EACH ROW EXECUTE FUNCTION mobility_driver_shown_name();
CREATE TRIGGER driver_name_stays_users BEFORE UPDATE ON mobility_driver
    FOR EACH ROW WHEN (NEW.shown_name IS DISTINCT FROM OLD.shown_name) EXECUTE FUNCTION mobility_driver_shown_name();

CREATE FUNCTION mobility_user_to_driver() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE mobility_driver SET shown_name = '' WHERE user_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER user_name_to_driver AFTER UPDATE OF first_name, last_name, username, phone ON mobility_user
    FOR EACH ROW WHEN ((OLD.first_name, OLD.last_name, OLD.username, OLD.phone)
        IS DISTINCT FROM (NEW.first_name, NEW.last_name, NEW.username, NEW.phone))
    EXECUTE FUNCTION mobility_user_to_driver();
