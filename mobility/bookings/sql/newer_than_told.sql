-- Which of these bookings have moved on from the seq that a client was told last.
SELECT b.id AS booking_id, b.ride_id, b.seq
FROM unnest(%(booking_ids)s::bigint[], %(seqs)s::int[]) AS told (booking_id, seq)
JOIN mobility_booking b ON b.id = told.booking_id AND b.seq > told.seq
