-- Every live ride has a time at which it is looked at, never later than what is due for it; a search has a limit.
SELECT b.id AS booking_id, b.status, b.due_at, b.search_until FROM mobility_booking b
WHERE (b.status IN ('pending', 'confirmed', 'in_progress')) <> (b.due_at IS NOT NULL)
    OR (b.status = 'pending' AND b.search_until IS NULL)
    -- A ride whose turn failed comes again some seconds later than it should.
    OR (b.due_at > statement_timestamp() + interval '10 seconds' AND b.status = 'pending' AND (
        b.due_at > b.search_until OR EXISTS (
            SELECT FROM mobility_offer o WHERE o.booking_id = b.id AND o.status = 'pending' AND o.due_at < b.due_at)))
