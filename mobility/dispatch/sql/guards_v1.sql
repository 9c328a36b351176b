-- What the database itself forbids about offers. Its refusals carry constraint names, as those about rides do.

-- A booking's driver is the driver of its accepted offer, and of no other ride's.
ALTER TABLE mobility_booking ADD CONSTRAINT booking_driver_is_the_offers
    FOREIGN KEY (offer_id, id, driver_id) REFERENCES mobility_offer (id, booking_id, driver_id);

CREATE FUNCTION mobility_offer_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status NOT IN ('pending', 'accepted') THEN
            RAISE EXCEPTION 'an offer cannot begin as %', NEW.status
                USING ERRCODE = 'check_violation', CONSTRAINT = 'offer_move_allowed';
        END IF;
        -- Only an operator may come back to such a driver, and binds them at once.
        IF (NEW.status = 'pending' OR NEW.origin <> 'operator') AND EXISTS (
            SELECT FROM mobility_offer WHERE booking_id = NEW.booking_id AND driver_id = NEW.driver_id
                AND status IN ('declined', 'expired', 'released')) THEN
            RAISE EXCEPTION 'driver % is not asked again for booking %', NEW.driver_id, NEW.booking_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'offer_not_asked_again';
        END IF;
        IF EXISTS (
            SELECT FROM mobility_booking b JOIN mobility_driver d ON d.user_id = b.passenger_id
            WHERE b.id = NEW.booking_id AND d.id = NEW.driver_id) THEN
            RAISE EXCEPTION 'nobody is asked to drive themselves'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'offer_not_own_ride';
        END IF;
        RETURN NEW;
    END IF;

    IF (NEW.id, NEW.booking_id, NEW.driver_id, NEW.round, NEW.origin, NEW.offered_at)
        IS DISTINCT FROM (OLD.id, OLD.booking_id, OLD.driver_id, OLD.round, OLD.origin, OLD.offered_at) THEN
        RAISE EXCEPTION 'offer % keeps its ride, driver and beginning', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'offer_identity_is_fixed';
    END IF;
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('pending', 'accepted'), ('pending', 'declined'), ('pending', 'expired'), ('pending', 'withdrawn'),
        ('accepted', 'released')) THEN
        RAISE EXCEPTION 'an offer cannot go from % to %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'offer_move_allowed';
    END IF;
    IF NEW.status = OLD.status AND OLD.status <> 'pending' AND NEW IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'offer % is % and stays so', OLD.id, OLD.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'offer_settled_is_final';
    END IF;
    IF OLD.status = 'pending' AND NEW.status = 'accepted' AND OLD.expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION 'offer % has expired', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'offer_not_after_expiry';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER offer_guard BEFORE INSERT OR UPDATE ON mobility_offer
    FOR EACH ROW EXECUTE FUNCTION mobility_offer_guard();

-- At commit: a ride's offers fit the ride, whatever statements came before in whatever order.
CREATE FUNCTION mobility_offers_fit(booking bigint) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    now_is record;
BEGIN
    SELECT b.status, b.offer_id,
        (SELECT o.id FROM mobility_offer o WHERE o.booking_id = b.id AND o.status = 'accepted') AS accepted_id,
        (SELECT count(*) FROM mobility_offer o WHERE o.booking_id = b.id AND o.status = 'pending') AS live,
        (SELECT count(*) FROM mobility_offer o JOIN mobility_driver d ON d.id = o.driver_id
         WHERE o.booking_id = b.id AND o.status = 'pending' AND d.status <> 'available') AS unfree
    INTO now_is FROM mobility_booking b WHERE b.id = booking;
    IF now_is.live > 0 AND now_is.status <> 'pending' THEN
        RAISE EXCEPTION 'booking % is % but drivers are still being asked', booking, now_is.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'offer_live_only_while_searching';
    END IF;
    IF now_is.offer_id IS DISTINCT FROM now_is.accepted_id THEN
        RAISE EXCEPTION 'booking % is bound by offer %, but % is accepted', booking, now_is.offer_id, now_is.accepted_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'offer_accepted_is_bound';
    END IF;
    IF now_is.unfree > 0 THEN
        RAISE EXCEPTION 'booking % is offered to a driver who is not available', booking
            USING ERRCODE = 'check_violation', CONSTRAINT = 'offer_only_to_free_driver';
    END IF;
END
$$;

CREATE FUNCTION mobility_offer_at_commit() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.status = 'pending' THEN
        -- Whoever is ending the search or sending the driver away is waited for, and whoever comes later waits: else
        -- each of the two would find that the other has done nothing yet. The services hold both rows already.
        PERFORM FROM mobility_booking WHERE id = NEW.booking_id FOR SHARE;
        PERFORM FROM mobility_driver WHERE id = NEW.driver_id FOR SHARE;
    END IF;
    PERFORM mobility_offers_fit(NEW.booking_id);
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER offer_at_commit AFTER INSERT OR UPDATE OF status ON mobility_offer
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mobility_offer_at_commit();

CREATE FUNCTION mobility_driver_offers_at_commit() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM mobility_offer o JOIN mobility_driver d ON d.id = o.driver_id
        WHERE o.driver_id = NEW.id AND o.status = 'pending' AND d.status <> 'available') THEN
        RAISE EXCEPTION 'driver % is % but still being asked', NEW.id, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'offer_only_to_free_driver';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER driver_offers_at_commit AFTER UPDATE OF status ON mobility_driver
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.status = 'available' AND NEW.status <> 'available')
    EXECUTE FUNCTION mobility_driver_offers_at_commit();
