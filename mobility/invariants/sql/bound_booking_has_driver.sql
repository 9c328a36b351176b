-- A confirmed, running, completed or no-show booking has a driver; a waiting one has none.
SELECT id AS booking_id, status, driver_id FROM mobility_booking
WHERE (status IN ('confirmed', 'in_progress', 'completed', 'no_show') AND driver_id IS NULL)
    OR (status IN ('scheduled', 'pending', 'unfulfilled') AND driver_id IS NOT NULL)
