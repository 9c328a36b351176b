-- Store an area under its name; no row where it is so already.
INSERT INTO mobility_service_area AS a (name, area, active, matching_radius_m)
VALUES (%(name)s, %(shape)s::geometry, %(active)s, %(radius_m)s)
ON CONFLICT (name) DO UPDATE SET area = excluded.area, updated_at = statement_timestamp(),
    active = CASE WHEN %(active_told)s::boolean THEN excluded.active ELSE a.active END,
    matching_radius_m = CASE WHEN %(radius_told)s::boolean THEN excluded.matching_radius_m ELSE a.matching_radius_m END
WHERE ST_AsBinary(a.area) <> ST_AsBinary(excluded.area)
    OR %(active_told)s::boolean AND a.active <> excluded.active
    OR %(radius_told)s::boolean AND a.matching_radius_m IS DISTINCT FROM excluded.matching_radius_m
RETURNING xmax = 0 AS is_new
