-- Where drivers were: one row a position, in a partition a day (UTC) that is made ahead and dropped when it is old.
-- The application adds and reads; it makes and drops days only through the two functions.

CREATE TABLE mobility_position (
    driver_id bigint NOT NULL, -- no foreign key: it would cost a look-up a row, and drivers are never deleted
    recorded_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    position geometry(Point, 4326) NOT NULL,
    heading double precision,
    speed double precision,
    accuracy_m real,
    door text NOT NULL,
    CONSTRAINT mobility_position_pkey PRIMARY KEY (driver_id, recorded_at),
    CONSTRAINT position_on_earth CHECK (coalesce(
        ST_X(position) BETWEEN -180 AND 180 AND ST_Y(position) BETWEEN -90 AND 90, false)),
    CONSTRAINT position_not_from_the_future CHECK (recorded_at <= received_at + interval '1 minute'),
    CONSTRAINT position_heading_in_circle CHECK (heading >= 0 AND heading < 360),
    CONSTRAINT position_speed_is_sane CHECK (speed >= 0 AND speed < 1000),
    CONSTRAINT position_accuracy_is_sane CHECK (accuracy_m >= 0),
    CONSTRAINT position_door_is_known CHECK (door IN ('socket', 'driver', 'fleet', 'tracker'))
) PARTITION BY RANGE (recorded_at);
COMMENT ON TABLE mobility_position IS 'Where drivers were, by their devices; a partition a UTC day.';
CREATE INDEX position_recorded_at ON mobility_position USING brin (recorded_at);
-- What has no day yet is not refused: it waits here until its day is made.
CREATE TABLE mobility_position_default PARTITION OF mobility_position DEFAULT;

-- Make the days from `first` to `last` that are missing; how many were made.
CREATE FUNCTION mobility_make_position_days(first date, last date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    day date;
    made integer := 0;
    part text;
BEGIN
    IF last - first > 400 THEN
        RAISE EXCEPTION 'more than 400 days at once'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'position_days_are_few';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('mobility_position_days'));
    FOR day IN SELECT d::date FROM generate_series(first, last, interval '1 day') d LOOP
        part := 'mobility_position_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE mobility_position INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part);
        EXECUTE format('REVOKE ALL ON %I FROM careconnect_app', part);
        EXECUTE format(
            'WITH waiting AS (DELETE FROM mobility_position_default WHERE recorded_at >= %L AND recorded_at < %L RETURNING *)'
            ' INSERT INTO %I SELECT * FROM waiting', day::timestamptz, (day + 1)::timestamptz, part);
        EXECUTE format(
            'ALTER TABLE mobility_position ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            part, day::timestamptz, (day + 1)::timestamptz);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Drop the days that ended before `keep_from`, and what is older than it in the default partition; how many days.
CREATE FUNCTION mobility_drop_position_days(keep_from date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    part text;
    dropped integer := 0;
BEGIN
    IF keep_from > current_date - 1 THEN
        RAISE EXCEPTION 'the last days of positions are never dropped'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'position_last_days_stay';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('mobility_position_days'));
    DELETE FROM mobility_position_default WHERE recorded_at < keep_from::timestamptz;
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'mobility_position'::regclass AND c.relname ~ '^mobility_position_[0-9]{8}$'
            AND to_date(right(c.relname, 8), 'YYYYMMDD') < keep_from
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %I', part);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

REVOKE ALL ON mobility_position, mobility_position_default FROM careconnect_app;
GRANT SELECT, INSERT ON mobility_position TO careconnect_app;
REVOKE ALL ON FUNCTION mobility_make_position_days(date, date), mobility_drop_position_days(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mobility_make_position_days(date, date), mobility_drop_position_days(date) TO careconnect_app;

SELECT mobility_make_position_days(current_date - 2, current_date + 3);
