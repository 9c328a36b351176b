SELECT o.driver_id FROM mobility_offer o WHERE o.booking_id = %(booking_id)s AND o.status = 'released'
