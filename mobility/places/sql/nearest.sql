-- The place nearest to a position, if one is near enough. `<->` on geography is the sphere: the exact distance decides.
WITH here AS (
    SELECT ST_SetSRID(ST_MakePoint(%(longitude)s, %(latitude)s), 4326)::geography AS at
), near AS (
    SELECT p.* FROM mobility_place p, here
    WHERE ST_DWithin(p.position::geography, here.at, %(within_m)s)
    ORDER BY p.position::geography <-> here.at LIMIT 16
)
SELECT name, kind, label, source, importance, ST_Y(position) AS latitude, ST_X(position) AS longitude
FROM near, here
ORDER BY ST_Distance(position::geography, here.at), importance DESC, id
LIMIT 1
