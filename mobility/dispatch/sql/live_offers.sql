SELECT count(*) AS live FROM mobility_offer WHERE booking_id = %(booking_id)s AND status = 'pending'
