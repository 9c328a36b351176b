-- Roles, database and extensions of CareConnect. Run by a superuser with psql, any number of times:
--
--   psql -U postgres -d postgres -v owner_password=... -v app_password=... -f docker/postgres/bootstrap.sql
--
-- careconnect_owner   owns the database and its tables; migrations run as this role
-- careconnect_app     the running service; owns nothing, so it cannot change the schema
-- careconnect_analyst, careconnect_operations
--                     what logins of analysts are members of (manage.py create_analyst); they read schema gis
--
-- A second run sets both passwords again and repairs the rights of the database and of schema public. What the
-- service may do with each table, and analysts with each view, is granted by the migrations.

\set ON_ERROR_STOP on
\set QUIET on

\if :{?owner_password}
\else
  DO $$ BEGIN RAISE EXCEPTION 'give the password of the owner: psql -v owner_password=...'; END $$;
\endif
\if :{?app_password}
\else
  DO $$ BEGIN RAISE EXCEPTION 'give the password of the service: psql -v app_password=...'; END $$;
\endif

-- Passwords must not reach the server's log, whatever it logs otherwise.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET password_encryption = 'scram-sha-256';
SET client_min_messages = 'warning';

SELECT 'CREATE ROLE careconnect_owner'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'careconnect_owner') \gexec
SELECT 'CREATE ROLE careconnect_app'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'careconnect_app') \gexec
SELECT format('CREATE ROLE %I NOLOGIN', name) FROM unnest(ARRAY['careconnect_analyst', 'careconnect_operations']) name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE careconnect_owner
    LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'owner_password';
ALTER ROLE careconnect_app
    LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'app_password';

-- template0: nothing an administrator once put into template1 gets in.
SELECT 'CREATE DATABASE careconnect OWNER careconnect_owner TEMPLATE template0 ENCODING ''UTF8'''
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'careconnect') \gexec

ALTER DATABASE careconnect OWNER TO careconnect_owner;
REVOKE ALL ON DATABASE careconnect FROM PUBLIC;
REVOKE ALL ON DATABASE careconnect FROM careconnect_app;
GRANT CONNECT ON DATABASE careconnect TO careconnect_app, careconnect_analyst, careconnect_operations;

\connect careconnect
SET client_min_messages = 'warning';

-- Here, not in a migration: only a superuser may create PostGIS.
CREATE EXTENSION IF NOT EXISTS postgis SCHEMA public;
CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public;
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM careconnect_app;
GRANT ALL ON SCHEMA public TO careconnect_owner;
GRANT USAGE ON SCHEMA public TO careconnect_app;
GRANT USAGE ON SCHEMA public TO careconnect_analyst, careconnect_operations;

-- What PostgreSQL lets everybody do, and whoever only reads has no need of: keep large objects, take locks the service
-- takes, write into the log of changes.
DO $$
DECLARE
    open_to_all record;
BEGIN
    FOR open_to_all IN
        SELECT p.oid::regprocedure AS signature FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace
            AND p.proname ~ '^(lo_.*|loread|lowrite|pg_(try_)?advisory_.*|pg_logical_emit_message)$'
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', open_to_all.signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO careconnect_owner, careconnect_app', open_to_all.signature);
    END LOOP;
    -- PostGIS tells by these what the planner knows of any table, whether or not one may read it: in which box of a map how
    -- many of its rows lie.
    FOR open_to_all IN
        SELECT p.oid::regprocedure AS signature FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace
            AND p.proname IN ('st_estimatedextent', '_postgis_stats', '_postgis_selectivity', '_postgis_join_selectivity',
                '_postgis_index_extent')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', open_to_all.signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO careconnect_owner, careconnect_app', open_to_all.signature);
    END LOOP;
END
$$;
