-- What of schema gis this role may read. A layer's time is its first column that holds one: when the row's thing began.
SELECT c.relname::text AS name,
    coalesce(obj_description(c.oid, 'pg_class'), '') AS about,
    array_agg(a.attname::text ORDER BY a.attnum) AS columns,
    (array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE t.typname = 'geometry'))[1] AS geometry,
    postgis_typmod_type((array_agg(a.atttypmod ORDER BY a.attnum) FILTER (WHERE t.typname = 'geometry'))[1])
        AS geometry_type,
    (array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE t.typname IN ('timestamptz', 'date')))[1] AS moment,
    (array_agg(t.typname = 'date' ORDER BY a.attnum) FILTER (WHERE t.typname IN ('timestamptz', 'date')))[1]
        AS moment_is_date
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relnamespace = 'gis'::regnamespace AND c.relkind IN ('v', 'm') AND has_table_privilege(c.oid, 'SELECT')
GROUP BY c.oid, c.relname
ORDER BY c.relname
