-- A driver's inbox counts 1, 2, 3 ... under the lock of the driver's row and is only appended to.

CREATE FUNCTION mobility_inbox_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        RAISE EXCEPTION 'the inbox of a driver is only appended to'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'inbox_append_only';
    END IF;
    IF NEW.seq > 1 AND NOT EXISTS (
        SELECT FROM mobility_driver_inbox WHERE driver_id = NEW.driver_id AND seq = NEW.seq - 1) THEN
        RAISE EXCEPTION 'inbox row % of driver % has no predecessor', NEW.seq, NEW.driver_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'inbox_seq_is_gapless';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER inbox_guard BEFORE INSERT OR UPDATE OR DELETE ON mobility_driver_inbox
    FOR EACH ROW EXECUTE FUNCTION mobility_inbox_guard();

CREATE FUNCTION mobility_inbox_counter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'inbox_seq of driver % cannot go from % to %', OLD.id, OLD.inbox_seq, NEW.inbox_seq
        USING ERRCODE = 'check_violation', CONSTRAINT = 'inbox_seq_is_gapless';
END
$$;
CREATE TRIGGER inbox_counter BEFORE UPDATE OF inbox_seq ON mobility_driver
    FOR EACH ROW WHEN (NEW.inbox_seq NOT IN (OLD.inbox_seq, OLD.inbox_seq + 1))
    EXECUTE FUNCTION mobility_inbox_counter();

-- At commit the driver's counter and the newest row of the inbox are the same number.
CREATE FUNCTION mobility_inbox_at_commit() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    driver bigint;
BEGIN
    IF TG_TABLE_NAME = 'mobility_driver' THEN
        driver := NEW.id;
    ELSE
        driver := NEW.driver_id;
    END IF;
    IF (SELECT inbox_seq FROM mobility_driver WHERE id = driver) <> coalesce(
        (SELECT max(seq) FROM mobility_driver_inbox WHERE driver_id = driver), 0) THEN
        RAISE EXCEPTION 'the inbox of driver % does not end where it is counted to', driver
            USING ERRCODE = 'check_violation', CONSTRAINT = 'inbox_is_counted';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER inbox_at_commit AFTER INSERT ON mobility_driver_inbox
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mobility_inbox_at_commit();
CREATE CONSTRAINT TRIGGER inbox_counter_begins AFTER INSERT ON mobility_driver
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.inbox_seq <> 0) EXECUTE FUNCTION mobility_inbox_at_commit();
CREATE CONSTRAINT TRIGGER inbox_counter_at_commit AFTER UPDATE OF inbox_seq ON mobility_driver
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.inbox_seq <> OLD.inbox_seq)
    EXECUTE FUNCTION mobility_inbox_at_commit();
