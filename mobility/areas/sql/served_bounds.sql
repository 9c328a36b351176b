-- The box around every active area, the narrower one: counted from -180, or from 0 eastwards over the antimeridian (only where
-- no part lies on both sides of 0, which that would turn inside out). No row's numbers where no area is active.
SELECT min(ST_XMin(part)) AS west, max(ST_XMax(part)) AS east, min(ST_YMin(part)) AS south, max(ST_YMax(part)) AS north,
    min(ST_XMin(ST_ShiftLongitude(part))) AS west_from_0, max(ST_XMax(ST_ShiftLongitude(part))) AS east_from_0,
    bool_or(ST_XMin(part) < 0 AND ST_XMax(part) > 0) AS over_0
FROM (SELECT (ST_Dump(area)).geom AS part FROM mobility_service_area WHERE active) parts
