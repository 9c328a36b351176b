-- A copy of what matching reads, without triggers, locks or unique bookings, to see what happens then.
\set ON_ERROR_STOP on
DROP SCHEMA IF EXISTS naive CASCADE;
CREATE SCHEMA naive;
CREATE TABLE naive.mobility_driver (LIKE mobility_driver INCLUDING INDEXES);
INSERT INTO naive.mobility_driver SELECT * FROM mobility_driver;
CREATE TABLE naive.mobility_driver_location (LIKE mobility_driver_location INCLUDING INDEXES);
INSERT INTO naive.mobility_driver_location SELECT * FROM mobility_driver_location;
CREATE TABLE naive.ride (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, driver_id bigint NOT NULL);
VACUUM ANALYZE naive.mobility_driver;
VACUUM ANALYZE naive.mobility_driver_location;
GRANT USAGE ON SCHEMA naive TO careconnect_app;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA naive TO careconnect_app;
