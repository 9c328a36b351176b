SELECT id, booking_id FROM mobility_offer WHERE driver_id = %(driver_id)s AND status = 'pending'
