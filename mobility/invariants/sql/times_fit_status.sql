-- Each state has its time, and times are in the order of the states.
SELECT id AS booking_id, status FROM mobility_booking
WHERE (status IN ('confirmed', 'in_progress', 'completed', 'no_show') AND confirmed_at IS NULL)
    OR (status IN ('in_progress', 'completed') AND started_at IS NULL)
    OR (status = 'completed' AND completed_at IS NULL)
    OR (status = 'unfulfilled' AND unfulfilled_at IS NULL)
    OR ((status = 'cancelled') <> (cancelled_at IS NOT NULL)) OR ((status = 'cancelled') <> (cancelled_by IS NOT NULL))
    OR NOT (requested_at <= search_started_at AND search_started_at <= coalesce(confirmed_at, search_started_at)
        AND coalesce(confirmed_at, requested_at) <= coalesce(started_at, 'infinity')
        AND coalesce(started_at, requested_at) <= coalesce(completed_at, 'infinity'))
