-- Only what is missing, only of a ride that is not over, and only if the place is still the one that was asked about.
UPDATE mobility_booking SET pickup_address = %(address)s
WHERE id = %(booking_id)s AND pickup_address = '' AND status NOT IN ('cancelled', 'completed', 'no_show')
    AND ST_Y(pickup) = %(latitude)s AND ST_X(pickup) = %(longitude)s
RETURNING id
