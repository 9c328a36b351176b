-- The log rows a client has not seen, in order, each with the card of the driver it names.
SELECT e.booking_id, b.ride_id, e.seq, e.event, e.to_status, e.occurred_at,
    e.payload ->> 'cancelled_by' AS cancelled_by, e.payload ->> 'reason' AS reason,
    {{driver_card}}
FROM mobility_ride_event e
JOIN mobility_booking b ON b.id = e.booking_id
LEFT JOIN mobility_driver d ON d.id = (e.payload ->> 'driver_id')::bigint
LEFT JOIN mobility_user u ON u.id = d.user_id
LEFT JOIN mobility_driver_location l ON l.driver_id = d.id
WHERE e.booking_id = %(booking_id)s AND e.seq > %(seq)s
ORDER BY e.seq
