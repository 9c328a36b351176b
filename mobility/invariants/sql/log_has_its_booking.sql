-- Every log row belongs to a booking, and its times never go back.
SELECT booking_id, seq FROM (
    SELECT e.booking_id, e.seq, e.occurred_at, b.id AS found,
        lag(e.occurred_at) OVER (PARTITION BY e.booking_id ORDER BY e.seq) AS before
    FROM mobility_ride_event e LEFT JOIN mobility_booking b ON b.id = e.booking_id
) log
WHERE found IS NULL OR occurred_at < before
