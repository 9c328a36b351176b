ALTER TABLE mobility_ride_event DROP CONSTRAINT ride_event_move_allowed;
DROP TRIGGER driver_user_is_fixed ON mobility_driver;
DROP FUNCTION mobility_driver_user_is_fixed();
DROP TRIGGER driver_at_commit ON mobility_driver;
DROP TRIGGER ride_event_at_commit ON mobility_ride_event;
DROP TRIGGER ride_event_guard ON mobility_ride_event;
DROP TRIGGER booking_at_commit ON mobility_booking;
DROP TRIGGER booking_guard ON mobility_booking;
DROP FUNCTION mobility_driver_at_commit(), mobility_ride_event_at_commit(), mobility_ride_event_guard(),
    mobility_booking_at_commit(), mobility_booking_guard(), mobility_driver_busy_is_bound(bigint);
ALTER TABLE mobility_booking DROP CONSTRAINT booking_pickup_on_earth, DROP CONSTRAINT booking_dropoff_on_earth;
DROP TABLE mobility_allowed_move;
