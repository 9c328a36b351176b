-- A due ride that could not be dealt with comes again a little later, so that it stops no other.
UPDATE mobility_booking SET due_at = least(statement_timestamp() + make_interval(secs => %(for_s)s),
    CASE WHEN status = 'pending' THEN greatest(search_until, statement_timestamp() + interval '1 second') END)
WHERE id = %(booking_id)s AND due_at IS NOT NULL
