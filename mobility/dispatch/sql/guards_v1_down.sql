DROP TRIGGER driver_offers_at_commit ON mobility_driver;
DROP TRIGGER offer_at_commit ON mobility_offer;
DROP TRIGGER offer_guard ON mobility_offer;
ALTER TABLE mobility_booking DROP CONSTRAINT booking_driver_is_the_offers;
DROP FUNCTION mobility_driver_offers_at_commit(), mobility_offer_at_commit(), mobility_offer_guard(),
    mobility_offers_fit(bigint);
