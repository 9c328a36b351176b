-- A trip is of a ride that was begun and is over, and begins and ends with it.
SELECT t.booking_id, b.status FROM mobility_trip t LEFT JOIN mobility_booking b ON b.id = t.booking_id
WHERE b.started_at IS NULL OR b.status NOT IN ('cancelled', 'completed') OR b.driver_id IS NULL
    OR (t.started_at, t.ended_at) IS DISTINCT FROM (b.started_at, coalesce(b.completed_at, b.cancelled_at))
