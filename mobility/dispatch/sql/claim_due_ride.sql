-- The ride that is due longest, locked; one whom another process works on is passed over.
SELECT {{bookings/sql/held_ride}}
FROM mobility_booking WHERE due_at <= statement_timestamp()
ORDER BY due_at LIMIT 1
FOR NO KEY UPDATE SKIP LOCKED
