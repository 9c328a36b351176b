-- The ride's row, locked: the first lock of everything that changes the ride or its offers.
SELECT {{held_ride}}
FROM mobility_booking WHERE id = %(booking_id)s
FOR NO KEY UPDATE
