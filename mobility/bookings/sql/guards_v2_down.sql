DROP TRIGGER booking_offers_at_commit ON mobility_booking;
DROP TRIGGER booking_binding ON mobility_booking;
DROP FUNCTION mobility_booking_offers_at_commit(), mobility_booking_binding();
