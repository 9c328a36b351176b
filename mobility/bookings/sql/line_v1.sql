-- A ride as the crow flies, pickup to dropoff: a line, or two of them where the short way crosses the antimeridian
-- (RFC 7946, 3.1.9), as geo/geojson.py cuts it.
CREATE FUNCTION mobility_ride_line(pickup geometry, dropoff geometry) RETURNS geometry
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURNS NULL ON NULL INPUT AS $$
    SELECT CASE WHEN abs(ST_X(pickup) - ST_X(dropoff)) <= 180 THEN ST_MakeLine(pickup, dropoff)
        ELSE (
            SELECT ST_Collect(
                ST_MakeLine(pickup, ST_SetSRID(ST_MakePoint(edge, latitude), 4326)),
                ST_MakeLine(ST_SetSRID(ST_MakePoint(-edge, latitude), 4326), dropoff))
            FROM (
                SELECT edge, ST_Y(pickup) + coalesce((edge - ST_X(pickup)) / nullif(ST_X(dropoff) + 2 * edge - ST_X(pickup), 0), 0)
                    * (ST_Y(dropoff) - ST_Y(pickup)) AS latitude
                FROM (SELECT CASE WHEN ST_X(pickup) > ST_X(dropoff) THEN 180.0 ELSE -180.0 END::float8 AS edge) side
            ) crossing
        ) END
$$;
CREATE INDEX booking_line ON mobility_booking USING gist (mobility_ride_line(pickup, dropoff));
