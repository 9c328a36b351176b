-- A batch of a file's places: new ones, and those that the file tells otherwise than before.
INSERT INTO mobility_place AS place (name, kind, label, folded, position, importance, source, source_id)
SELECT t.name, t.kind, t.label, t.folded, ST_SetSRID(ST_MakePoint(t.longitude, t.latitude), 4326), t.importance,
    %(source)s, t.source_id
FROM unnest(%(names)s::text[], %(kinds)s::text[], %(labels)s::text[], %(foldeds)s::text[], %(longitudes)s::float8[],
    %(latitudes)s::float8[], %(importances)s::float8[], %(source_ids)s::text[])
    AS t (name, kind, label, folded, longitude, latitude, importance, source_id)
ON CONFLICT (source, source_id) DO UPDATE SET name = EXCLUDED.name, kind = EXCLUDED.kind, label = EXCLUDED.label,
    folded = EXCLUDED.folded, position = EXCLUDED.position, importance = EXCLUDED.importance
    WHERE (place.name, place.kind, place.label, place.folded, ST_AsEWKB(place.position), place.importance)
        IS DISTINCT FROM (EXCLUDED.name, EXCLUDED.kind, EXCLUDED.label, EXCLUDED.folded,
            ST_AsEWKB(EXCLUDED.position), EXCLUDED.importance)
RETURNING xmax = 0 AS is_new
