-- For each pair of passenger and ride id the booking it stands for, if any; for a guest the one that isn't over.
SELECT named.place, b.id AS booking_id, b.ride_id, b.seq
FROM unnest(%(passenger_ids)s::bigint[], %(ride_ids)s::text[]) WITH ORDINALITY named (passenger_id, ride_id, place)
CROSS JOIN LATERAL (
    SELECT id, ride_id, seq FROM mobility_booking
    WHERE ride_id = named.ride_id AND passenger_id = named.passenger_id
    UNION ALL
    SELECT id, ride_id, seq FROM mobility_booking
    WHERE ride_id = named.ride_id AND passenger_id IS NULL AND named.passenger_id IS NULL
        AND status NOT IN ('completed', 'cancelled', 'no_show')
    LIMIT 1
) b
