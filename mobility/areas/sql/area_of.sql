-- Whether a pickup is served and how far drivers are asked from there: by the smallest active area it lies in, edges
-- included. Where it lies in none, the nearest active area by name and metres; all null where no area is active. A position
-- on the antimeridian is on both sides of it.
WITH pickup AS (
    SELECT ST_SetSRID(ST_MakePoint(%(longitude)s::float8, %(latitude)s::float8), 4326) AS place,
        ST_SetSRID(ST_MakePoint(CASE WHEN abs(%(longitude)s::float8) = 180 THEN -%(longitude)s::float8
            ELSE %(longitude)s::float8 END, %(latitude)s::float8), 4326) AS other_side
), mine AS MATERIALIZED (
    SELECT a.id, a.matching_radius_m FROM pickup p
    JOIN mobility_service_area a ON ST_Intersects(a.area, p.place) OR ST_Intersects(a.area, p.other_side)
    WHERE a.active
    ORDER BY ST_Area(a.area), a.id LIMIT 1
), nearest AS (
    SELECT close.name, close.distance_m FROM pickup p CROSS JOIN LATERAL (
        -- The index measures on the sphere: of a few, the nearest is found on the spheroid.
        SELECT a.name, ST_Distance(a.area::geography, p.place::geography) AS distance_m
        FROM mobility_service_area a WHERE a.active AND NOT EXISTS (SELECT FROM mine)
        ORDER BY a.area::geography <-> p.place::geography LIMIT 4
    ) close
    ORDER BY close.distance_m, close.name LIMIT 1
)
SELECT n.name IS NULL AS served, m.id AS area_id, m.matching_radius_m AS radius_m,
    n.name AS nearest, n.distance_m
FROM pickup LEFT JOIN mine m ON true LEFT JOIN nearest n ON true
