-- In which area a ride is searched for, and how far, is settled when it is asked for, and anew when it is asked for again.

CREATE FUNCTION mobility_booking_area() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the area and radius of booking % change only when it is asked for again', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_area_is_kept';
END
$$;
CREATE TRIGGER booking_area BEFORE UPDATE OF search_radius_m, service_area_id ON mobility_booking
    FOR EACH ROW WHEN (
        (NEW.search_radius_m, NEW.service_area_id) IS DISTINCT FROM (OLD.search_radius_m, OLD.service_area_id)
        AND NOT (OLD.status = 'unfulfilled' AND NEW.status = 'pending'))
    EXECUTE FUNCTION mobility_booking_area();
