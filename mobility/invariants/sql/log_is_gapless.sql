-- A ride's log counts 1, 2, 3 ... up to the booking's seq.
SELECT b.id AS booking_id, b.seq, count(e.seq) AS logged, max(e.seq) AS newest FROM mobility_booking b
LEFT JOIN mobility_ride_event e ON e.booking_id = b.id
GROUP BY b.id, b.seq
HAVING count(e.seq) <> b.seq OR coalesce(max(e.seq), 0) <> b.seq OR coalesce(min(e.seq), 0) <> 1
