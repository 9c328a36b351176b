-- An address that somebody gave stays, and a late one comes to a ride that is not over. It is no move of the ride.
-- Erasing is allowed, and another request's addresses come with its move.

CREATE FUNCTION mobility_booking_address() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the addresses of booking % stay: only an empty one of a ride under way is filled', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_address_is_kept';
END
$$;
CREATE TRIGGER booking_address BEFORE UPDATE OF pickup_address, dropoff_address ON mobility_booking
    FOR EACH ROW WHEN (NEW.seq = OLD.seq AND (
        NEW.pickup_address <> OLD.pickup_address AND NEW.pickup_address <> ''
            AND (OLD.pickup_address <> '' OR OLD.status IN ('cancelled', 'completed', 'no_show'))
        OR NEW.dropoff_address <> OLD.dropoff_address AND NEW.dropoff_address <> ''
            AND (OLD.dropoff_address <> '' OR OLD.status IN ('cancelled', 'completed', 'no_show'))))
    EXECUTE FUNCTION mobility_booking_address();

COMMENT ON COLUMN mobility_booking.address_tries IS 'How often somebody was asked for an address that is missing.';
