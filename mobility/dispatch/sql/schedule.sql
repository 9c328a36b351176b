-- When the dispatcher must look at this waiting ride next: its nearest open offer's deadline, or a moment from now where
-- nobody is asked; never after the end of the search.
UPDATE mobility_booking b
SET rounds = %(rounds)s,
    due_at = least(b.search_until, coalesce(
        (SELECT min(o.due_at) FROM mobility_offer o WHERE o.booking_id = b.id AND o.status = 'pending'),
        statement_timestamp() + make_interval(secs => %(retry_s)s)))
WHERE b.id = %(booking_id)s AND b.status = 'pending'
