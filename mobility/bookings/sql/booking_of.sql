-- The booking a passenger's ride id stands for; for a guest (no passenger) the one that isn't over.
SELECT id FROM mobility_booking
WHERE ride_id = %(ride_id)s AND passenger_id = %(passenger_id)s
UNION ALL
SELECT id FROM mobility_booking
WHERE ride_id = %(ride_id)s AND passenger_id IS NULL AND %(passenger_id)s::bigint IS NULL
    AND status NOT IN ('completed', 'cancelled', 'no_show')
LIMIT 1
