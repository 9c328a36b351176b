-- What analysts read: numbers that were counted once, when their day or month was over, and never change again. Only such
-- numbers stand here as can be told: of ten people or more, to the nearest five (docs/decisions/0024-published-counts.md).

CREATE TABLE mobility_published (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    begins date NOT NULL,
    time_zone text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
    published_by xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT published_once UNIQUE (kind, begins),
    CONSTRAINT published_kind_is_known CHECK (kind IN ('day', 'supply', 'month')),
    CONSTRAINT published_month_begins_on_the_first CHECK (kind <> 'month' OR extract(day FROM begins) = 1)
);
COMMENT ON TABLE mobility_published IS 'The days and months that were published. A row stays when their numbers are thrown away.';
COMMENT ON COLUMN mobility_published.published_by IS 'The transaction that did it, the only one that may add numbers.';

CREATE TABLE mobility_published_hexagon (
    cell bigint CONSTRAINT published_hexagon_once PRIMARY KEY,
    geom geometry(Polygon, 4326) NOT NULL
);
CREATE INDEX published_hexagon_place ON mobility_published_hexagon USING gist (geom);
COMMENT ON TABLE mobility_published_hexagon IS 'The shapes of the hexagons that something was published about.';

CREATE TABLE mobility_published_hour (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    period date NOT NULL,
    hour timestamptz NOT NULL,
    area_id bigint NOT NULL,
    cell bigint NOT NULL,
    requests bigint NOT NULL,
    CONSTRAINT published_hour_is_coarse CHECK (requests >= 10 AND requests % 5 = 0)
);
CREATE INDEX published_hour_time ON mobility_published_hour (hour);
CREATE INDEX published_hour_cell ON mobility_published_hour (cell);
COMMENT ON TABLE mobility_published_hour IS 'Requests by service area, hexagon and hour.';

CREATE TABLE mobility_published_supply (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    period date NOT NULL,
    hour timestamptz NOT NULL,
    cell bigint NOT NULL,
    idle_drivers bigint NOT NULL,
    CONSTRAINT published_supply_is_coarse CHECK (idle_drivers >= 10 AND idle_drivers % 5 = 0)
);
CREATE INDEX published_supply_time ON mobility_published_supply (hour);
CREATE INDEX published_supply_cell ON mobility_published_supply (cell);
COMMENT ON TABLE mobility_published_supply IS 'Idle drivers by hexagon and hour.';

CREATE TABLE mobility_published_area (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    period date NOT NULL,
    area_id bigint NOT NULL,
    requests bigint NOT NULL,
    followed bigint,
    completed bigint,
    not_completed bigint,
    cancelled bigint,
    no_show bigint,
    unfulfilled bigint,
    still_open bigint,
    wait_median_s bigint,
    wait_p90_s bigint,
    trip_length_median_m bigint,
    trip_duration_median_s bigint,
    acceptance_pct bigint,
    -- A number that is null says nothing, so the check lets it pass.
    CONSTRAINT published_area_is_coarse CHECK (
        least(requests, followed, completed, not_completed, cancelled, no_show, unfulfilled, still_open) >= 10
        AND requests % 5 = 0 AND (followed % 5 = 0) IS NOT false AND (completed % 5 = 0) IS NOT false
        AND (not_completed % 5 = 0) IS NOT false AND (cancelled % 5 = 0) IS NOT false
        AND (no_show % 5 = 0) IS NOT false AND (unfulfilled % 5 = 0) IS NOT false AND (still_open % 5 = 0) IS NOT false
        AND (wait_median_s % 10 = 0) IS NOT false AND (wait_p90_s % 10 = 0) IS NOT false
        AND (trip_length_median_m % 100 = 0) IS NOT false AND (trip_duration_median_s % 10 = 0) IS NOT false
        AND (acceptance_pct % 5 = 0) IS NOT false)
);
CREATE INDEX published_area_period ON mobility_published_area (kind, period);
COMMENT ON TABLE mobility_published_area IS 'Figures of a service area on a day or in a month.';

CREATE TABLE mobility_published_flow (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    period date NOT NULL,
    from_area_id bigint NOT NULL,
    to_area_id bigint NOT NULL,
    requests bigint NOT NULL,
    CONSTRAINT published_flow_is_coarse CHECK (requests >= 10 AND requests % 5 = 0)
);
COMMENT ON TABLE mobility_published_flow IS 'Requests from one service area to another in a month.';

CREATE TABLE mobility_published_verdict (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    period date NOT NULL,
    area_id bigint NOT NULL,
    verdict text NOT NULL,
    passed_over bigint NOT NULL,
    CONSTRAINT published_verdict_is_coarse CHECK (passed_over >= 10 AND passed_over % 5 = 0)
);
COMMENT ON TABLE mobility_published_verdict IS 'Why drivers near a pickup were not asked, by service area and day.';

-- A ride of a published day as it was counted then, until its month is published: the month must be of the same rides.
-- `block`: 1 counted in its hexagon and hour, 2 in its day only, 3 not yet.
CREATE TABLE mobility_published_ride (
    period date NOT NULL,
    area_id bigint NOT NULL,
    to_area_id bigint NOT NULL,
    person bigint NOT NULL,
    block smallint NOT NULL,
    outcome text NOT NULL,
    wait_s real,
    trip_length_m real,
    trip_duration_s real
);
CREATE INDEX published_ride_period ON mobility_published_ride (period);
COMMENT ON TABLE mobility_published_ride IS
    'Rides of published days as they were counted, until their month is published. Nobody but the service reads it.';

CREATE FUNCTION mobility_published_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        RAISE EXCEPTION 'what was published stays published'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'published_once_and_for_all';
    END IF;
    IF EXISTS (SELECT FROM mobility_published WHERE time_zone <> NEW.time_zone) THEN
        RAISE EXCEPTION 'days are published in one time zone only'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'published_in_one_zone';
    END IF;
    NEW.published_at := transaction_timestamp();
    NEW.published_by := pg_current_xact_id();
    RETURN NEW;
END
$$;
CREATE TRIGGER published_guard BEFORE INSERT OR UPDATE OR DELETE ON mobility_published
    FOR EACH ROW EXECUTE FUNCTION mobility_published_guard();

CREATE FUNCTION mobility_published_numbers_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    kind_of CONSTANT text := CASE WHEN TG_ARGV[0] = '' THEN to_jsonb(NEW) ->> 'kind' ELSE TG_ARGV[0] END;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (
            SELECT FROM mobility_published p
            WHERE p.kind = kind_of AND p.begins = NEW.period AND p.published_by = pg_current_xact_id_if_assigned()) THEN
            RAISE EXCEPTION 'nothing is added to the % %', kind_of, NEW.period
                USING ERRCODE = 'check_violation', CONSTRAINT = 'published_at_once';
        END IF;
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' OR OLD.period > current_date - 400 THEN
        RAISE EXCEPTION 'published numbers stay as they are'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'published_is_frozen';
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER published_hour_guard BEFORE INSERT OR UPDATE OR DELETE ON mobility_published_hour
    FOR EACH ROW EXECUTE FUNCTION mobility_published_numbers_guard('day');
CREATE TRIGGER published_supply_guard BEFORE INSERT OR UPDATE OR DELETE ON mobility_published_supply
    FOR EACH ROW EXECUTE FUNCTION mobility_published_numbers_guard('supply');
CREATE TRIGGER published_area_guard BEFORE INSERT OR UPDATE OR DELETE ON mobility_published_area
    FOR EACH ROW EXECUTE FUNCTION mobility_published_numbers_guard('');
CREATE TRIGGER published_flow_guard BEFORE INSERT OR UPDATE OR DELETE ON mobility_published_flow
    FOR EACH ROW EXECUTE FUNCTION mobility_published_numbers_guard('month');
CREATE TRIGGER published_verdict_guard BEFORE INSERT OR UPDATE OR DELETE ON mobility_published_verdict
    FOR EACH ROW EXECUTE FUNCTION mobility_published_numbers_guard('day');

REVOKE UPDATE ON mobility_published_hour, mobility_published_supply, mobility_published_area, mobility_published_flow,
    mobility_published_verdict, mobility_published_ride FROM careconnect_app;
REVOKE UPDATE, DELETE ON mobility_published, mobility_published_hexagon FROM careconnect_app;
GRANT SELECT, INSERT, DELETE ON mobility_published_hour, mobility_published_supply, mobility_published_area,
    mobility_published_flow, mobility_published_verdict, mobility_published_ride TO careconnect_app;
GRANT SELECT, INSERT ON mobility_published, mobility_published_hexagon TO careconnect_app;
