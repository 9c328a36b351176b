-- An area has a surface, does not cross itself and lies on Earth. Whether it crosses itself is looked at last: of what is not
-- finite nobody can say.

ALTER TABLE mobility_service_area
    ADD CONSTRAINT service_area_is_not_empty CHECK (NOT ST_IsEmpty(area)),
    ADD CONSTRAINT service_area_on_earth CHECK (ST_IsEmpty(area) OR coalesce(
        ST_XMin(area) >= -180 AND ST_XMax(area) <= 180 AND ST_YMin(area) >= -90 AND ST_YMax(area) <= 90, false)),
    ADD CONSTRAINT service_area_is_valid CHECK (ST_IsValid(area));

CREATE SEQUENCE mobility_version_service_area;
REVOKE ALL ON SEQUENCE mobility_version_service_area FROM careconnect_app;
CREATE TRIGGER service_area_version AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mobility_service_area
    FOR EACH STATEMENT EXECUTE FUNCTION mobility_count_change('mobility_version_service_area');

COMMENT ON TABLE mobility_service_area IS
    'Where rides are served: a pickup outside every active area is refused. No active area: everywhere is served.';
COMMENT ON COLUMN mobility_service_area.active IS 'Whether it counts.';
COMMENT ON COLUMN mobility_service_area.matching_radius_m IS
    'Metres from a pickup in it within which drivers are asked; null: the setting search_radius_m.';
COMMENT ON COLUMN mobility_service_area.area IS 'Straight between its positions, as on a map in degrees; parts at the antimeridian.';
COMMENT ON COLUMN mobility_booking.search_radius_m IS
    'Metres from the pickup within which drivers are asked; null: the setting search_radius_m.';
COMMENT ON COLUMN mobility_booking.service_area_id IS
    'The area the pickup lay in when it was asked for; it may be gone since. Null: there was no active one.';
