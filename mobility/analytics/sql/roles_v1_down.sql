ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE EXECUTE ON FUNCTIONS FROM careconnect_app;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
DO $$
DECLARE
    own record;
BEGIN
    FOR own IN
        SELECT p.oid::regprocedure AS signature FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace AND p.proowner = current_user::regrole
            AND has_function_privilege('careconnect_app', p.oid, 'EXECUTE')
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', own.signature);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM careconnect_app', own.signature);
    END LOOP;
END
$$;
REVOKE USAGE ON SCHEMA public FROM careconnect_analyst, careconnect_operations;
DROP SCHEMA gis;
