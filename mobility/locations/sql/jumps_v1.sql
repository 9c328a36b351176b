-- Which positions of a driver's past are jumps. Positions come late and in any order, so nothing is stored: whoever reads
-- gets them in the order of the device's clock, each flagged or not.

CREATE FUNCTION mobility_driver_fixes(
    driver bigint, since timestamptz, until timestamptz,
    jump_km_h double precision DEFAULT 250, noise_m double precision DEFAULT 50
) RETURNS TABLE (
    recorded_at timestamptz, received_at timestamptz, "position" geometry, heading double precision,
    speed double precision, accuracy_m real, door text, jump boolean, leap boolean
) LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    first_read timestamptz;
    last_read timestamptz;
    fix record;
    anchor record; -- the last fix of the track
    anchor_n integer := 0;
    n integer := 0;
    reached boolean;
    run integer := 0; -- fixes of the track since it began, or went on elsewhere
    begun integer[] := '{}'; -- those, while they are fewer than three
    apart integer := 0; -- fixes in a row out of reach of the track, each in reach of the one before
    jumps boolean[] := '{}';
    leaps boolean[] := '{}';
BEGIN
    -- Some fixes around the window are judged as well, so that a fix has the same flag in every window.
    SELECT coalesce(min(near.at), since) INTO first_read FROM (
        SELECT p.recorded_at AS at FROM mobility_position p
        WHERE p.driver_id = driver AND p.recorded_at >= since - interval '1 hour' AND p.recorded_at < since
        ORDER BY p.recorded_at DESC LIMIT 10) near;
    SELECT coalesce(max(near.at), until) INTO last_read FROM (
        SELECT p.recorded_at AS at FROM mobility_position p
        WHERE p.driver_id = driver AND p.recorded_at > until AND p.recorded_at <= until + interval '1 hour'
        ORDER BY p.recorded_at LIMIT 10) near;
    FOR fix IN
        SELECT p.recorded_at AS at, p.position::geography AS place, coalesce(p.accuracy_m, 0) AS off_m,
            coalesce(ST_Distance(p.position::geography, lag(p.position::geography) OVER past) <= greatest(
                noise_m, coalesce(p.accuracy_m, 0) + lag(coalesce(p.accuracy_m, 0)) OVER past,
                jump_km_h / 3.6 * extract(epoch FROM p.recorded_at - lag(p.recorded_at) OVER past)), true) AS in_step
        FROM mobility_position p
        WHERE p.driver_id = driver AND p.recorded_at BETWEEN first_read AND last_read
        WINDOW past AS (ORDER BY p.recorded_at)
        ORDER BY p.recorded_at
    LOOP
        n := n + 1;
        IF anchor_n = n - 1 THEN
            reached := fix.in_step;
        ELSE
            reached := ST_Distance(fix.place, anchor.place) <= greatest(
                noise_m, fix.off_m + anchor.off_m, jump_km_h / 3.6 * extract(epoch FROM fix.at - anchor.at));
        END IF;
        jumps[n] := NOT reached;
        IF reached THEN
            apart := 0;
            run := run + 1;
            IF run < 3 THEN
                begun := begun || n;
            END IF;
        ELSE
            apart := CASE WHEN apart > 0 AND fix.in_step THEN apart + 1 ELSE 1 END;
            CONTINUE WHEN apart < 3;
            -- Three in a row say that the driver is there: the track goes on from the first of them. Where it had no
            -- three before, those were the wrong ones.
            jumps[n - 2] := false;
            jumps[n - 1] := false;
            jumps[n] := false;
            IF run < 3 THEN
                FOR i IN 1 .. cardinality(begun) LOOP
                    jumps[begun[i]] := true;
                END LOOP;
            ELSE
                leaps[n - 2] := true;
            END IF;
            apart := 0;
            run := 3;
        END IF;
        anchor := fix;
        anchor_n := n;
    END LOOP;
    RETURN QUERY
    SELECT read.recorded_at, read.received_at, read.position, read.heading, read.speed, read.accuracy_m, read.door,
        jumps[read.n], coalesce(leaps[read.n], false)
    FROM (
        SELECT p.*, (row_number() OVER (ORDER BY p.recorded_at))::integer AS n FROM mobility_position p
        WHERE p.driver_id = driver AND p.recorded_at BETWEEN first_read AND last_read
    ) read
    WHERE read.recorded_at BETWEEN since AND until
    ORDER BY read.recorded_at;
END
$$;
COMMENT ON FUNCTION mobility_driver_fixes(bigint, timestamptz, timestamptz, double precision, double precision) IS
    'The positions of a driver from one time to another, both included, by the device''s clock. jump: to be there from the
last position of the track takes more than jump_km_h, and it is farther than noise_m and than both accuracies together; the
track leaves it out. leap: the track goes on here after three such positions in a row that fit each other; the way to it was
not driven. Depends on nothing but the stored positions, never on the order in which they came.';
