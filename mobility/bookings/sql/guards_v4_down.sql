DROP TRIGGER booking_area ON mobility_booking;
DROP FUNCTION mobility_booking_area();
