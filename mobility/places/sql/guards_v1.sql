-- A place lies on Earth.

ALTER TABLE mobility_place ADD CONSTRAINT place_on_earth CHECK (coalesce(
    ST_X(position) BETWEEN -180 AND 180 AND ST_Y(position) BETWEEN -90 AND 90, false));

COMMENT ON TABLE mobility_place IS 'The gazetteer: places as files told them (manage.py import_places).';
COMMENT ON COLUMN mobility_place.folded IS 'Name and label without case, accents and punctuation, for searching.';
COMMENT ON COLUMN mobility_place.source IS 'What the file is called; with source_id what makes an import repeatable.';
COMMENT ON TABLE mobility_geocode_answer IS
    'What geocoders answered, by a digest of the question; kept for geocode_cache_days.';
COMMENT ON TABLE mobility_geocoder_turn IS 'From when on a geocoder may be asked next, for all processes together.';
