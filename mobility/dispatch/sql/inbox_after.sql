-- What a driver's socket has not been told yet, in order, each with the ride it is about.
SELECT i.seq AS inbox_seq, i.kind, i.reason AS told_reason, i.occurred_at, i.booking_id AS about_booking_id,
    ride.*, cancelled.cancellation_reason
FROM mobility_driver_inbox i
LEFT JOIN LATERAL (
    {{ride_of_offer}}
    WHERE o.id = i.offer_id
) ride ON true
LEFT JOIN mobility_booking cancelled ON cancelled.id = i.booking_id
WHERE i.driver_id = %(driver_id)s AND i.seq > %(seq)s
ORDER BY i.seq
LIMIT %(limit)s
