-- Who may do what in the database. The owner migrates and owns every table; the application connects as
-- careconnect_app (or a member of it), which owns nothing and runs no DDL. Later tables of the same owner inherit
-- these grants through the default privileges; what must never be deleted or rewritten is taken back by name.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'careconnect_app') THEN
        IF NOT (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user) THEN
            RAISE EXCEPTION 'the role careconnect_app does not exist and % may not create it', current_user
                USING HINT = 'Run docker/postgres/bootstrap.sql once as a superuser.';
        END IF;
        CREATE ROLE careconnect_app NOLOGIN;
    END IF;
END
$$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO careconnect_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO careconnect_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO careconnect_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO careconnect_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO careconnect_app;

REVOKE INSERT, UPDATE, DELETE ON django_migrations, spatial_ref_sys FROM careconnect_app;
-- A position goes only with its driver: deleting it and writing an older one would turn time back.
REVOKE DELETE ON mobility_booking, mobility_driver, mobility_driver_location FROM careconnect_app;
REVOKE UPDATE, DELETE ON mobility_ride_event FROM careconnect_app;
