-- The offer a driver's answer is about, in the order in which one would mean it: the open one, the accepted, the newest.
SELECT o.id, o.booking_id, b.ride_id, b.passenger_id, o.status, o.reason
FROM mobility_offer o JOIN mobility_booking b ON b.id = o.booking_id
WHERE o.driver_id = %(driver_id)s
    AND (b.id = %(booking_id)s OR (%(booking_id)s::bigint IS NULL AND b.ride_id = %(ride_id)s))
ORDER BY o.status = 'pending' DESC, o.status = 'accepted' AND b.status IN ('confirmed', 'in_progress') DESC, o.id DESC
LIMIT 1
