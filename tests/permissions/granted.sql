-- Every privilege on a schema, relation, column, sequence or function of the schemas public and gis that somebody else
-- than its owner (or ours, who makes the schema) has, and every such thing without any: kind, name, grantee ('' is nobody, 'PUBLIC' everybody),
-- privilege, column. Functions of extensions are left out, and so are partitions, which stand for their table.
WITH relation AS (
    SELECT c.*, CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'view' ELSE 'table' END AS kind,
        CASE nspname WHEN 'public' THEN '' ELSE nspname || '.' END || relname AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE nspname IN ('public', 'gis') AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT relispartition
), held AS (
    SELECT 'schema' AS kind, nspname::text AS name, a.grantee, a.privilege_type, NULL::name AS on_column, nspowner AS owner
    FROM pg_namespace LEFT JOIN LATERAL aclexplode(nspacl) a ON true WHERE nspname IN ('public', 'gis')
    UNION ALL
    SELECT kind, name, a.grantee, a.privilege_type, NULL, relowner
    FROM relation LEFT JOIN LATERAL aclexplode(relacl) a ON true
    UNION ALL
    SELECT kind, name, a.grantee, a.privilege_type, attname, relowner
    FROM relation JOIN pg_attribute ON attrelid = relation.oid CROSS JOIN LATERAL aclexplode(attacl) a
    UNION ALL
    SELECT 'function', CASE nspname WHEN 'public' THEN '' ELSE nspname || '.' END || proname
        || '(' || oidvectortypes(proargtypes) || ')',
        a.grantee, a.privilege_type, NULL, proowner
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    LEFT JOIN LATERAL aclexplode(coalesce(proacl, acldefault('f', proowner))) a ON true
    WHERE nspname IN ('public', 'gis')
        AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
)
SELECT kind, name,
    CASE WHEN grantee IS NULL OR grantee IN (owner, 'careconnect_owner'::regrole) THEN '' WHEN grantee = 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
    lower(privilege_type), on_column
FROM held
