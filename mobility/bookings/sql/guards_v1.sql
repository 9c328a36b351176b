-- What the database itself forbids about rides: moves outside the state table, changes to a ride that is over, holes in
-- the log, deletions. Each refusal carries a constraint name, which mobility/errors.py turns into an answer.

CREATE TABLE mobility_allowed_move (
    from_status varchar(16) NOT NULL,
    to_status varchar(16) NOT NULL,
    event varchar(32) NOT NULL,
    PRIMARY KEY (from_status, to_status, event)
);
COMMENT ON TABLE mobility_allowed_move IS
    'Every move a ride may make; from_status is empty for a new ride. Equal to MOVES in mobility/bookings/states.py.';
INSERT INTO mobility_allowed_move (from_status, to_status, event) VALUES
    ('', 'pending', 'ride_requested'),
    ('', 'scheduled', 'ride_scheduled'),
    ('scheduled', 'pending', 'search_started'),
    ('unfulfilled', 'pending', 'search_started'),
    ('pending', 'confirmed', 'driver_assigned'),
    ('pending', 'unfulfilled', 'no_drivers'),
    ('confirmed', 'confirmed', 'driver_arrived'),
    ('confirmed', 'pending', 'driver_released'),
    ('confirmed', 'unfulfilled', 'driver_released'),
    ('confirmed', 'in_progress', 'ride_started'),
    ('confirmed', 'no_show', 'no_show'),
    ('in_progress', 'completed', 'ride_completed'),
    ('scheduled', 'cancelled', 'ride_cancelled'),
    ('pending', 'cancelled', 'ride_cancelled'),
    ('unfulfilled', 'cancelled', 'ride_cancelled'),
    ('confirmed', 'cancelled', 'ride_cancelled'),
    ('in_progress', 'cancelled', 'ride_cancelled');
REVOKE ALL ON mobility_allowed_move FROM careconnect_app;
GRANT SELECT ON mobility_allowed_move TO careconnect_app;

ALTER TABLE mobility_booking
    ADD CONSTRAINT booking_pickup_on_earth CHECK (coalesce(
        ST_X(pickup) BETWEEN -180 AND 180 AND ST_Y(pickup) BETWEEN -90 AND 90, false)),
    ADD CONSTRAINT booking_dropoff_on_earth CHECK (coalesce(
        ST_X(dropoff) BETWEEN -180 AND 180 AND ST_Y(dropoff) BETWEEN -90 AND 90, false));

CREATE FUNCTION mobility_booking_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a booking is never deleted' USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_is_kept';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.seq <> 1 OR NOT EXISTS (
            SELECT FROM mobility_allowed_move WHERE from_status = '' AND to_status = NEW.status) THEN
            RAISE EXCEPTION 'a booking cannot begin as % with seq %', NEW.status, NEW.seq
                USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_move_allowed';
        END IF;
        RETURN NEW;
    END IF;

    IF NEW.id <> OLD.id OR NEW.ride_id <> OLD.ride_id OR NEW.passenger_id IS DISTINCT FROM OLD.passenger_id THEN
        RAISE EXCEPTION 'a booking keeps its id, ride id and passenger'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_identity_is_fixed';
    END IF;
    IF OLD.status IN ('completed', 'cancelled', 'no_show') AND
        (NEW.status, NEW.seq, NEW.driver_id, NEW.fare_minor, NEW.fare_currency, NEW.fare_origin, NEW.requested_at,
         NEW.search_started_at, NEW.confirmed_at, NEW.arrived_at, NEW.started_at, NEW.completed_at, NEW.unfulfilled_at,
         NEW.no_show_at, NEW.cancelled_at, NEW.cancelled_by)
        IS DISTINCT FROM
        (OLD.status, OLD.seq, OLD.driver_id, OLD.fare_minor, OLD.fare_currency, OLD.fare_origin, OLD.requested_at,
         OLD.search_started_at, OLD.confirmed_at, OLD.arrived_at, OLD.started_at, OLD.completed_at, OLD.unfulfilled_at,
         OLD.no_show_at, OLD.cancelled_at, OLD.cancelled_by) THEN
        RAISE EXCEPTION 'booking % is % and stays so', OLD.id, OLD.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_terminal_is_final';
    END IF;
    IF NEW.status <> OLD.status AND NOT EXISTS (
        SELECT FROM mobility_allowed_move WHERE from_status = OLD.status AND to_status = NEW.status) THEN
        RAISE EXCEPTION 'a booking cannot go from % to %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_move_allowed';
    END IF;
    IF NEW.seq NOT IN (OLD.seq, OLD.seq + 1) THEN
        RAISE EXCEPTION 'seq of booking % cannot go from % to %', OLD.id, OLD.seq, NEW.seq
            USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_seq_is_gapless';
    END IF;
    IF NEW.seq = OLD.seq AND (NEW.status, NEW.driver_id, NEW.arrived_at, NEW.fare_minor)
        IS DISTINCT FROM (OLD.status, OLD.driver_id, OLD.arrived_at, OLD.fare_minor) THEN
        RAISE EXCEPTION 'a move of booking % needs a log row of its own', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_move_is_logged';
    END IF;
    IF NEW.driver_id IS DISTINCT FROM OLD.driver_id AND NOT (
        (OLD.driver_id IS NULL AND OLD.status = 'pending' AND NEW.status = 'confirmed')
        OR (NEW.driver_id IS NULL AND OLD.status = 'confirmed' AND NEW.status IN ('pending', 'unfulfilled'))) THEN
        RAISE EXCEPTION 'the driver of booking % changes only by being assigned or released', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_driver_by_assignment';
    END IF;
    IF NEW.seq = OLD.seq AND (NEW.requested_at, NEW.search_started_at, NEW.confirmed_at, NEW.started_at,
            NEW.completed_at, NEW.unfulfilled_at, NEW.no_show_at, NEW.cancelled_at, NEW.cancelled_by)
        IS DISTINCT FROM (OLD.requested_at, OLD.search_started_at, OLD.confirmed_at, OLD.started_at,
            OLD.completed_at, OLD.unfulfilled_at, OLD.no_show_at, OLD.cancelled_at, OLD.cancelled_by) THEN
        RAISE EXCEPTION 'the times of booking % change only with a move', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_move_is_logged';
    END IF;
    IF NEW.driver_id IS DISTINCT FROM OLD.driver_id AND NEW.driver_id IS NOT NULL AND EXISTS (
        SELECT FROM mobility_driver WHERE id = NEW.driver_id AND user_id = NEW.passenger_id) THEN
        RAISE EXCEPTION 'nobody drives themselves'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_not_own_driver';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER booking_guard BEFORE INSERT OR UPDATE OR DELETE ON mobility_booking
    FOR EACH ROW EXECUTE FUNCTION mobility_booking_guard();

CREATE FUNCTION mobility_ride_event_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    previous varchar(16);
BEGIN
    IF TG_OP <> 'INSERT' THEN
        RAISE EXCEPTION 'the ride log is only appended to'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ride_event_append_only';
    END IF;
    IF NEW.seq > 1 THEN
        SELECT to_status INTO previous FROM mobility_ride_event
        WHERE booking_id = NEW.booking_id AND seq = NEW.seq - 1;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'seq % of booking % has no predecessor', NEW.seq, NEW.booking_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ride_event_seq_is_gapless';
        END IF;
    END IF;
    IF NEW.from_status <> coalesce(previous, '') THEN
        RAISE EXCEPTION 'seq % of booking % begins at %, not at %',
            NEW.seq, NEW.booking_id, coalesce(previous, 'nothing'), NEW.from_status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ride_event_follows_previous';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER ride_event_guard BEFORE INSERT OR UPDATE OR DELETE ON mobility_ride_event
    FOR EACH ROW EXECUTE FUNCTION mobility_ride_event_guard();

-- At commit, whatever statements came before in whatever order: the booking stands where its log ends, and the driver is
-- busy exactly while a live booking holds them.
CREATE FUNCTION mobility_booking_at_commit() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    now_is mobility_booking%ROWTYPE;
    logged varchar(16);
    newest integer;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        PERFORM mobility_driver_busy_is_bound(OLD.driver_id);
    END IF;
    SELECT * INTO now_is FROM mobility_booking WHERE id = NEW.id;
    IF now_is.seq <> NEW.seq THEN
        RETURN NULL; -- a later row version of the same transaction is checked in its own turn
    END IF;
    SELECT seq, to_status INTO newest, logged FROM mobility_ride_event
    WHERE booking_id = NEW.id ORDER BY seq DESC LIMIT 1;
    IF newest IS DISTINCT FROM now_is.seq OR logged IS DISTINCT FROM now_is.status THEN
        RAISE EXCEPTION 'booking % stands at % %, its log at % %', NEW.id, now_is.seq, now_is.status, newest, logged
            USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_move_is_logged';
    END IF;
    IF now_is.driver_id IS NOT NULL AND now_is.driver_id IS DISTINCT FROM (
        SELECT (payload ->> 'driver_id')::bigint FROM mobility_ride_event
        WHERE booking_id = NEW.id AND event = 'driver_assigned' ORDER BY seq DESC LIMIT 1) THEN
        RAISE EXCEPTION 'the log of booking % names another driver', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_move_is_logged';
    END IF;
    IF now_is.status IN ('confirmed', 'in_progress') AND NOT EXISTS (
        SELECT FROM mobility_driver WHERE id = now_is.driver_id AND status = 'busy') THEN
        RAISE EXCEPTION 'booking % is % but its driver is not busy', NEW.id, now_is.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'driver_busy_while_bound';
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION mobility_driver_busy_is_bound(driver bigint) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF driver IS NOT NULL
        AND (SELECT status = 'busy' FROM mobility_driver WHERE id = driver)
            <> EXISTS (SELECT FROM mobility_booking WHERE driver_id = driver AND status IN ('confirmed', 'in_progress'))
    THEN
        RAISE EXCEPTION 'driver % must be busy exactly while holding a live booking', driver
            USING ERRCODE = 'check_violation', CONSTRAINT = 'driver_busy_while_bound';
    END IF;
END
$$;

CREATE CONSTRAINT TRIGGER booking_at_commit AFTER INSERT OR UPDATE OF status, seq, driver_id ON mobility_booking
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mobility_booking_at_commit();

-- A log row without its booking's move would be a lie as well.
CREATE FUNCTION mobility_ride_event_at_commit() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM mobility_booking WHERE id = NEW.booking_id AND seq >= NEW.seq) THEN
        RAISE EXCEPTION 'seq % of booking % is logged but was not made', NEW.seq, NEW.booking_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_move_is_logged';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER ride_event_at_commit AFTER INSERT ON mobility_ride_event
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mobility_ride_event_at_commit();

CREATE FUNCTION mobility_driver_at_commit() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM mobility_driver_busy_is_bound(NEW.id);
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER driver_at_commit AFTER INSERT OR UPDATE OF status ON mobility_driver
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mobility_driver_at_commit();

-- A driver's record belongs to one person for good: their rides would otherwise change hands, even to the passenger.
CREATE FUNCTION mobility_driver_user_is_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'driver % stays the record of the same user', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'driver_user_is_fixed';
END
$$;
CREATE TRIGGER driver_user_is_fixed BEFORE UPDATE OF user_id ON mobility_driver
    FOR EACH ROW WHEN (OLD.user_id <> NEW.user_id) EXECUTE FUNCTION mobility_driver_user_is_fixed();

ALTER TABLE mobility_ride_event ADD CONSTRAINT ride_event_move_allowed
    FOREIGN KEY (from_status, to_status, event) REFERENCES mobility_allowed_move;
