DROP TRIGGER booking_address ON mobility_booking;
DROP FUNCTION mobility_booking_address();
