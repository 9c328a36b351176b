DROP FUNCTION mobility_data_version(text[]);
DROP TRIGGER user_version ON mobility_user;
DROP TRIGGER driver_version ON mobility_driver;
DROP TRIGGER driver_location_version ON mobility_driver_location;
DROP TRIGGER position_version ON mobility_position;
DROP TRIGGER booking_version ON mobility_booking;
DROP FUNCTION mobility_count_change();
DROP SEQUENCE mobility_version_user, mobility_version_driver, mobility_version_driver_location, mobility_version_position,
    mobility_version_booking;
