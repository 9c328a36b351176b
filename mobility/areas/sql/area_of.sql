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
), near AS (
    -- On the spheroid an outline costs a hundred times what it costs on a plane. So the nearest few are found on one that is true
    -- to scale around the pickup, the short way round the Earth, and only they are measured.
    SELECT a.name, a.area FROM pickup p
    CROSS JOIN mobility_service_area a
    CROSS JOIN LATERAL (
        SELECT ST_Scale(a.area, cos(radians(%(latitude)s::float8)), 1) AS area OFFSET 0
    ) flat
    WHERE a.active AND NOT EXISTS (SELECT FROM mine)
    ORDER BY (
        SELECT min(ST_Distance(flat.area,
            ST_Scale(ST_Translate(p.place, way, 0), cos(radians(%(latitude)s::float8)), 1)))
        FROM unnest(ARRAY[-360, 0, 360]) way
    ) LIMIT 8
), nearest AS (
    SELECT a.name, ST_Distance(a.area::geography, p.place::geography) AS distance_m FROM pickup p, near a
    ORDER BY distance_m, a.name LIMIT 1
)
SELECT n.name IS NULL AS served, m.id AS area_id, m.matching_radius_m AS radius_m,
    n.name AS nearest, n.distance_m
FROM pickup LEFT JOIN mine m ON true LEFT JOIN nearest n ON true
