-- The same races without anything that guards them: copies of the tables with their names, but without constraints,
-- triggers and unique indexes other than those of the ids. Each two rides ask the same drivers, which the service's own
-- tables forbid, so that a driver too can be taken twice.
\set ON_ERROR_STOP on
DROP SCHEMA IF EXISTS naive CASCADE;
CREATE SCHEMA naive;
CREATE TABLE naive.mobility_booking (LIKE mobility_booking);
INSERT INTO naive.mobility_booking SELECT * FROM mobility_booking WHERE id < :first + :rides;
CREATE UNIQUE INDEX ON naive.mobility_booking (id);
CREATE TABLE naive.mobility_offer (LIKE mobility_offer);
INSERT INTO naive.mobility_offer SELECT * FROM mobility_offer WHERE booking_id < :first + :rides;
UPDATE naive.mobility_offer SET driver_id = driver_id - :asked WHERE (booking_id - :first) % 2 = 1;
CREATE UNIQUE INDEX ON naive.mobility_offer (id);
CREATE INDEX ON naive.mobility_offer (booking_id);
CREATE TABLE naive.mobility_driver (LIKE mobility_driver);
INSERT INTO naive.mobility_driver SELECT * FROM mobility_driver WHERE id <= :asked * :rides;
CREATE UNIQUE INDEX ON naive.mobility_driver (id);
VACUUM ANALYZE naive.mobility_booking;
VACUUM ANALYZE naive.mobility_offer;
VACUUM ANALYZE naive.mobility_driver;
GRANT USAGE ON SCHEMA naive TO careconnect_app;
GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA naive TO careconnect_app;
