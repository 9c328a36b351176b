SELECT outcome FROM mobility_search_round WHERE booking_id = %(booking_id)s ORDER BY round DESC LIMIT 1
