l.dispatchable AND (l.stationary OR least(l.recorded_at, l.received_at) > since)
            AND (SELECT o.id FROM mobility_offer o WHERE o.driver_id = l.driver_id AND o.status = 'pending') IS NULL
            AND (NOT asking
                OR (SELECT d.auto_accept FROM mobility_driver d WHERE d.id = l.driver_id)
                OR (SELECT p.lease_until FROM mobility_driver_presence p WHERE p.driver_id = l.driver_id)
                    > statement_timestamp())
