DROP TRIGGER location_follows_driver ON mobility_driver_location;
DROP FUNCTION mobility_location_follows_driver();
