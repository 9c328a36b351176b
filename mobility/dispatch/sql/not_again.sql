SELECT o.driver_id FROM mobility_offer o
            WHERE o.booking_id = %(booking_id)s AND (o.status IN ('declined', 'expired', 'released')
                -- Whom a request did not reach is asked again once they have connected anew.
                OR (o.reason = 'undelivered' AND NOT EXISTS (
                    SELECT FROM mobility_driver_presence p
                    WHERE p.driver_id = o.driver_id AND p.connected_at > o.settled_at)))
