-- What the log of rides tells of a time is found by time. The log is only appended to, so that a summary of each of its
-- parts does as well as an index of its rows, and costs writing nothing.
CREATE INDEX ride_event_occurred_at ON mobility_ride_event USING brin (occurred_at) WITH (pages_per_range = 16);

CREATE FUNCTION gis.fleet_at(instant timestamptz, within_s double precision DEFAULT 600) RETURNS TABLE (
    driver_key bigint, geom geometry, recorded_at timestamptz, age_s double precision, heading_deg double precision,
    speed_km_h double precision, had_ride boolean
) LANGUAGE plpgsql STABLE SECURITY DEFINER
-- Planned with the instant itself, so that only its days are looked at.
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    since timestamptz;
    of_month mobility_surrogate_secret;
BEGIN
    IF instant IS NULL OR instant > clock_timestamp() THEN
        RAISE EXCEPTION 'instant must be a time of the past, not %', instant USING ERRCODE = 'invalid_parameter_value';
    ELSIF within_s IS NULL OR NOT within_s BETWEEN 1 AND 86400 THEN
        RAISE EXCEPTION 'within_s must be 1 to 86400 seconds, not %', within_s USING ERRCODE = 'invalid_parameter_value';
    END IF;
    since := instant - make_interval(secs => within_s);
    SELECT * INTO of_month FROM mobility_surrogate_secret s
    WHERE s.month = date_trunc('month', instant AT TIME ZONE 'UTC')::date;
    -- One look-up a driver by the keys that are there anyway: what the others told meanwhile is not read.
    RETURN QUERY
    SELECT mobility_surrogate_key(of_month.inner_block, of_month.outer_block, '\x647269766572', d.id), p.position,
        p.recorded_at, extract(epoch FROM instant - p.recorded_at)::double precision, p.heading, p.speed * 3.6,
        coalesce((
            -- Rides of one driver do not overlap: only the last one that had begun can still have gone on.
            SELECT coalesce(b.completed_at, b.cancelled_at, b.no_show_at, 'infinity') > instant FROM mobility_booking b
            WHERE b.driver_id = d.id AND b.confirmed_at <= instant
            ORDER BY b.confirmed_at DESC LIMIT 1), false)
    FROM mobility_driver d
    CROSS JOIN LATERAL (
        SELECT h.position, h.recorded_at, h.heading, h.speed FROM mobility_position h
        WHERE h.driver_id = d.id AND h.recorded_at <= instant AND h.recorded_at > since
        ORDER BY h.recorded_at DESC LIMIT 1
    ) p;
END
$$;
GRANT EXECUTE ON FUNCTION gis.fleet_at(timestamptz, double precision) TO careconnect_operations, careconnect_app;
COMMENT ON FUNCTION gis.fleet_at(timestamptz, double precision) IS
    'Where every driver was at an instant of the past: the last position recorded at or before it, unless that was more than
within_s seconds earlier (600; 1 to 86,400). Only as far back as positions are kept (CARECONNECT_POSITION_KEEP_DAYS).
driver_key is that of the instant''s month, age_s the seconds from recorded_at to the instant, had_ride whether the driver had a
ride then that was not given back later. Example: SELECT * FROM gis.fleet_at(now() - interval ''1 day'')';

CREATE FUNCTION gis.waiting_at(instant timestamptz) RETURNS TABLE (
    id bigint, geom geometry, passenger_key bigint, requested_at timestamptz, waiting_since timestamptz,
    waited_s double precision, service_area_id bigint, vehicle_type text
) LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    since timestamptz := instant - interval '1 day';
BEGIN
    IF instant IS NULL OR instant > clock_timestamp() THEN
        RAISE EXCEPTION 'instant must be a time of the past, not %', instant USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    SELECT b.id, b.pickup::geometry,
        mobility_surrogate_key(s.inner_block, s.outer_block, '\x70617373656e676572', b.passenger_id), b.requested_at,
        e.occurred_at, extract(epoch FROM instant - e.occurred_at)::double precision, b.service_area_id,
        b.vehicle_type::text
    FROM mobility_ride_event e
    JOIN mobility_booking b ON b.id = e.booking_id
    LEFT JOIN mobility_surrogate_secret s ON s.month = date_trunc('month', b.requested_at AT TIME ZONE 'UTC')::date
    WHERE e.to_status = 'pending' AND e.occurred_at <= instant AND e.occurred_at > since
        AND NOT EXISTS (
            SELECT FROM mobility_ride_event later
            WHERE later.booking_id = e.booking_id AND later.seq = e.seq + 1 AND later.occurred_at <= instant);
END
$$;
GRANT EXECUTE ON FUNCTION gis.waiting_at(timestamptz) TO careconnect_operations, careconnect_app;
COMMENT ON FUNCTION gis.waiting_at(timestamptz) IS
    'The rides for which a driver was searched at an instant of the past, by the log of rides: id as in gis.rides, geom the
pickup, waiting_since when that search began (again after a driver gave the ride back), waited_s the seconds from then to the
instant. Searches that had gone on for a day are not among them. Example: SELECT * FROM gis.waiting_at(now() - interval ''1 hour'')';
