-- Young rides that are not over and lack an address, and whose next try has come.
SELECT id, address_tries FROM mobility_booking
WHERE (pickup_address = '' OR dropoff_address = '') AND status NOT IN ('cancelled', 'completed', 'no_show')
    AND requested_at > statement_timestamp() - make_interval(hours => %(young_h)s)
    AND requested_at <= statement_timestamp() - make_interval(secs => %(first_s)s * %(times)s ^ address_tries)
    AND address_tries < %(most)s
ORDER BY requested_at LIMIT %(at_once)s
