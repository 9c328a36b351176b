-- A shape told as GeoJSON, and whether it may be stored: the reason and place of its fault, what repairing it makes of it
-- (polygons only), and which share of its surface (in square degrees) that changes. A repaired one is stored where that is little.
WITH told AS MATERIALIZED (
    SELECT ST_SetSRID(ST_Multi(ST_GeomFromGeoJSON(%(geojson)s::text)), 4326) AS shape
), judged AS MATERIALIZED (
    SELECT shape, (d).valid, (d).reason, (d).location
    FROM (SELECT shape, ST_IsValidDetail(shape) AS d FROM told OFFSET 0) detailed
), mended AS MATERIALIZED (
    SELECT *, CASE WHEN valid THEN shape ELSE
        ST_Multi(ST_CollectionExtract(ST_MakeValid(shape, 'method=structure'), 3)) END AS whole
    FROM judged
)
SELECT valid, reason, ST_X(location) AS longitude, ST_Y(location) AS latitude,
    CASE WHEN ST_IsEmpty(whole) OR ST_Area(whole) = 0 THEN 'infinity'::float8
        ELSE abs(ST_Area(whole) - ST_Area(shape)) / ST_Area(whole) END AS changed,
    encode(ST_AsEWKB(ST_ForcePolygonCCW(whole)), 'hex') AS shape
FROM mended
