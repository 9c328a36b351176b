-- A fare is not negative and says where it comes from.
SELECT id AS booking_id, fare_minor, fare_origin FROM mobility_booking
WHERE fare_minor < 0 OR (fare_minor IS NULL) <> (fare_origin = 'none')
