-- Each log row begins where the one before ended, makes an allowed move, and the last ends at the booking's status.
SELECT booking_id, seq, event, from_status, to_status FROM (
    SELECT e.*, lag(e.to_status, 1, '') OVER rides AS before, lead(e.seq) OVER rides IS NULL AS is_last, b.status
    FROM mobility_ride_event e JOIN mobility_booking b ON b.id = e.booking_id
    WINDOW rides AS (PARTITION BY e.booking_id ORDER BY e.seq)
) log
WHERE from_status <> before OR (is_last AND to_status <> status) OR NOT EXISTS (
    SELECT FROM mobility_allowed_move m
    WHERE m.from_status = log.from_status AND m.to_status = log.to_status AND m.event = log.event)
