DROP TRIGGER service_area_version ON mobility_service_area;
DROP SEQUENCE mobility_version_service_area;
ALTER TABLE mobility_service_area DROP CONSTRAINT service_area_is_valid, DROP CONSTRAINT service_area_on_earth,
    DROP CONSTRAINT service_area_is_not_empty;
