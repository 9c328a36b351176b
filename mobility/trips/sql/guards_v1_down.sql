DROP TRIGGER trip_guard ON mobility_trip;
DROP FUNCTION mobility_trip_guard();
GRANT DELETE ON mobility_trip TO careconnect_app;
ALTER TABLE mobility_trip DROP CONSTRAINT trip_track_on_earth;
