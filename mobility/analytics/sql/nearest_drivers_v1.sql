CREATE FUNCTION gis.nearest_drivers(
    lon double precision, lat double precision,
    radius_m double precision DEFAULT 10000, n integer DEFAULT 10
) RETURNS TABLE (
    driver_key bigint, geom geometry, distance_m double precision, vehicle_type text, recorded_at timestamptz,
    age_s double precision, heading_deg double precision, speed_km_h double precision
) LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    place geography;
    since timestamptz := statement_timestamp() - make_interval(secs => coalesce(
        (SELECT k.value FROM mobility_knob k WHERE k.name = 'stale_after_s'), 60));
    asking boolean := coalesce((SELECT k.value = 0 FROM mobility_knob k WHERE k.name = 'auto_assign'), true);
    within_m double precision;
BEGIN
    -- NaN is above every number, and so outside.
    IF lon IS NULL OR lat IS NULL OR NOT (lon BETWEEN -180 AND 180 AND lat BETWEEN -90 AND 90) THEN
        RAISE EXCEPTION 'lon must be -180 to 180 and lat -90 to 90, in degrees, in this order; not %, %', lon, lat
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF radius_m IS NULL OR NOT radius_m BETWEEN 1 AND 200000 THEN
        RAISE EXCEPTION 'radius_m must be 1 to 200000 metres, not %', radius_m USING ERRCODE = 'invalid_parameter_value';
    ELSIF n IS NULL OR NOT n BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'n must be 1 to 1000 drivers, not %', n USING ERRCODE = 'invalid_parameter_value';
    END IF;
    place := ST_SetSRID(ST_MakePoint(lon, lat), 4326)::geography;

    -- As in dispatch/sql/candidates.sql: `<->` measures on the sphere, and the index has drivers up to 75 m beside their
    -- position. Any n of them, measured exactly, say how far away the nearest n are at most; who lies within that, and 76 m
    -- more by the index, is measured again.
    SELECT least(radius_m, CASE WHEN count(*) = n THEN max(ST_Distance(walked.position::geography, place))
        ELSE radius_m END) INTO within_m
    FROM (
        SELECT l.position FROM mobility_driver_location l
        WHERE {{free_driver}}
            AND ST_DWithin(l.indexed_position::geography, place, radius_m + 76)
        ORDER BY l.indexed_position::geography <-> place LIMIT n
    ) walked;
    RETURN QUERY
    SELECT mobility_surrogate_key(s.inner_block, s.outer_block, '\x647269766572', near.driver_id), near.position,
        near.away_m, near.vehicle_type::text, near.recorded_at,
        extract(epoch FROM statement_timestamp() - near.recorded_at)::double precision, near.heading, near.speed * 3.6
    FROM (
        SELECT l.*, ST_Distance(l.position::geography, place) AS away_m
        FROM mobility_driver_location l
        WHERE {{free_driver}}
            AND ST_DWithin(l.indexed_position::geography, place, within_m + 76)
        OFFSET 0
    ) near
    LEFT JOIN mobility_surrogate_secret s ON s.month = date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC')::date
    WHERE near.away_m <= within_m
    ORDER BY near.away_m, near.driver_id LIMIT n;
END
$$;
GRANT EXECUTE ON FUNCTION gis.nearest_drivers(double precision, double precision, double precision, integer)
    TO careconnect_operations, careconnect_app;
COMMENT ON FUNCTION gis.nearest_drivers(double precision, double precision, double precision, integer) IS
    'The n drivers nearest to a place whom matching would find now, nearest first: free, verified, at a fresh position, not
being asked, and reachable. lon, lat in degrees (WGS 84), radius_m in metres from 1 to 200,000, n from 1 to 1,000.
distance_m is on the ellipsoid from the position itself. Example: SELECT * FROM gis.nearest_drivers(28.0473, -26.2041, 5000, 5)';
