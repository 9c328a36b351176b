-- Schema gis and the two roles that read it. A login is a member of one of them (manage.py create_analyst).
--   careconnect_analyst     counts and statistics that tell of nobody
--   careconnect_operations  the same, and single rides, trips and drivers, without names, phones and addresses
-- The owner of the views reads the tables for both. Neither may read a table, and public holds for them only the
-- types and functions of PostGIS.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['careconnect_analyst', 'careconnect_operations'] LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            CONTINUE;
        END IF;
        IF NOT (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user) THEN
            RAISE EXCEPTION 'the role % does not exist and % may not create it', role, current_user
                USING HINT = 'Run docker/postgres/bootstrap.sql again as a superuser.';
        END IF;
        EXECUTE format('CREATE ROLE %I NOLOGIN', role);
    END LOOP;
END
$$;

CREATE SCHEMA gis;
COMMENT ON SCHEMA gis IS 'What analysts read: documented views and functions, WGS 84, times with zone, metres and seconds.';
GRANT USAGE ON SCHEMA gis TO careconnect_analyst, careconnect_operations, careconnect_app;
GRANT USAGE ON SCHEMA public TO careconnect_analyst, careconnect_operations;

-- Functions are everybody's by default. Ours are the service's alone, those of later migrations too; what the service
-- was kept from already stays so.
DO $$
DECLARE
    own record;
BEGIN
    FOR own IN
        SELECT p.oid::regprocedure AS signature FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace AND p.proowner = current_user::regrole
            AND has_function_privilege('careconnect_app', p.oid, 'EXECUTE')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', own.signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO careconnect_app', own.signature);
    END LOOP;
END
$$;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO careconnect_app;
