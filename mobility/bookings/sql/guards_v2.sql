-- What offers and deadlines add to the rules about rides.

CREATE FUNCTION mobility_booking_binding() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the offer, search limit and no-show time of booking % change only with a move', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_move_is_logged';
END
$$;
CREATE TRIGGER booking_binding BEFORE UPDATE ON mobility_booking
    FOR EACH ROW WHEN (NEW.seq = OLD.seq AND (NEW.offer_id, NEW.search_until, NEW.no_show_from, NEW.releases)
        IS DISTINCT FROM (OLD.offer_id, OLD.search_until, OLD.no_show_from, OLD.releases))
    EXECUTE FUNCTION mobility_booking_binding();

CREATE FUNCTION mobility_booking_offers_at_commit() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM mobility_offers_fit(NEW.id);
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER booking_offers_at_commit AFTER UPDATE OF status, offer_id ON mobility_booking
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.status <> OLD.status OR NEW.offer_id IS DISTINCT FROM OLD.offer_id)
    EXECUTE FUNCTION mobility_booking_offers_at_commit();
