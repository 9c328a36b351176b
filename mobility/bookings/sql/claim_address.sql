-- A ride that is not over and lacks an address: one try more, and where the ends are that lack one.
UPDATE mobility_booking SET address_tries = address_tries + 1
WHERE id = %(booking_id)s AND (pickup_address = '' OR dropoff_address = '')
    AND status NOT IN ('cancelled', 'completed', 'no_show')
    AND address_tries < %(most)s AND address_tries = coalesce(%(tries)s::smallint, address_tries)
RETURNING pickup_address = '' AS lacks_pickup, dropoff_address = '' AS lacks_dropoff,
    ST_Y(pickup) AS pickup_latitude, ST_X(pickup) AS pickup_longitude,
    ST_Y(dropoff) AS dropoff_latitude, ST_X(dropoff) AS dropoff_longitude
