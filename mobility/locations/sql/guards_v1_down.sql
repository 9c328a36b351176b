DROP TRIGGER driver_to_location ON mobility_driver;
DROP TRIGGER location_from_driver ON mobility_driver_location;
DROP TRIGGER location_keeps_its_driver ON mobility_driver_location;
DROP TRIGGER location_newest_wins ON mobility_driver_location;
DROP FUNCTION mobility_driver_to_location(), mobility_location_from_driver(), mobility_location_order();
ALTER TABLE mobility_driver_location RESET (
    fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold,
    autovacuum_analyze_scale_factor, autovacuum_vacuum_cost_delay);
ALTER TABLE mobility_driver_location
    DROP CONSTRAINT location_position_on_earth, DROP CONSTRAINT location_not_from_the_future;
