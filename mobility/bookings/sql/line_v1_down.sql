DROP INDEX booking_line;
DROP FUNCTION mobility_ride_line(geometry, geometry);
