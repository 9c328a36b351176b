-- How old an answer is: every statement that writes one of these tables counts up its sequence, and readers tell by the counts
-- whether something has changed (docs/decisions/0020-versions-of-layers.md). A sequence keeps nobody waiting, which a row
-- with a number in it would.

CREATE SEQUENCE mobility_version_user;
CREATE SEQUENCE mobility_version_driver;
CREATE SEQUENCE mobility_version_driver_location;
CREATE SEQUENCE mobility_version_position;
CREATE SEQUENCE mobility_version_booking;
REVOKE ALL ON SEQUENCE mobility_version_user, mobility_version_driver, mobility_version_driver_location,
    mobility_version_position, mobility_version_booking FROM careconnect_app;

-- Who writes holds a shared lock until the end of the transaction, by which readers see that a change is under way. Writers do not
-- wait for each other, and readers take no lock.
CREATE FUNCTION mobility_count_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7301, TG_ARGV[0]::regclass::oid::integer);
    PERFORM nextval(TG_ARGV[0]::regclass);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION mobility_count_change() FROM PUBLIC;

CREATE TRIGGER user_version
    AFTER INSERT OR UPDATE OF first_name, last_name, username, phone, is_active OR DELETE OR TRUNCATE ON mobility_user
    FOR EACH STATEMENT EXECUTE FUNCTION mobility_count_change('mobility_version_user');
CREATE TRIGGER driver_version AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mobility_driver
    FOR EACH STATEMENT EXECUTE FUNCTION mobility_count_change('mobility_version_driver');
CREATE TRIGGER driver_location_version AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mobility_driver_location
    FOR EACH STATEMENT EXECUTE FUNCTION mobility_count_change('mobility_version_driver_location');
CREATE TRIGGER position_version AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mobility_position
    FOR EACH STATEMENT EXECUTE FUNCTION mobility_count_change('mobility_version_position');
CREATE TRIGGER booking_version AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mobility_booking
    FOR EACH STATEMENT EXECUTE FUNCTION mobility_count_change('mobility_version_booking');

-- The version of what these tables hold. Two equal ones: nobody has committed a change to them in between.
--
-- The counts are read first, then who is writing. Whoever counted up before that and is not committed when the answer is read
-- still holds the lock, and no version is like another then; who counts up later changes the counts. (A lock is given back after
-- the commit can be seen.) The moment of the statistics' reset tells apart the time before and after a crash, which may turn counts
-- back whose transaction had not reached the disk.
CREATE FUNCTION mobility_data_version(tables text[]) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    counted oid[];
    counts text;
BEGIN
    SELECT array_agg(('mobility_version_' || name)::regclass::oid ORDER BY n) INTO counted
    FROM unnest(tables) WITH ORDINALITY t (name, n);
    SELECT string_agg(coalesce(pg_sequence_last_value(sequence), 0)::text, '.' ORDER BY n) INTO counts
    FROM unnest(counted) WITH ORDINALITY t (sequence, n);
    RETURN concat_ws(' ', counts,
        (SELECT extract(epoch FROM stats_reset)::text FROM pg_stat_wal),
        (SELECT gen_random_uuid()::text WHERE EXISTS (
            SELECT FROM pg_locks l
            WHERE l.locktype = 'advisory' AND l.classid = 7301 AND l.objid = ANY (counted) AND l.granted
                AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND l.pid <> pg_backend_pid())));
END
$$;
REVOKE ALL ON FUNCTION mobility_data_version(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mobility_data_version(text[]) TO careconnect_app;
