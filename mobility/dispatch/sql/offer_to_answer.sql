-- The offer a driver's answer is about: named by the booking's number, or by the ride id the passenger chose, which then
-- means the ride one is being asked for, the ride one holds, or the newest of the last hundred. The first branch that has a
-- row ends the statement, so that a long history costs nothing.
SELECT * FROM (
    (SELECT o.id, o.booking_id, b.ride_id, b.passenger_id, o.status, o.reason
     FROM mobility_offer o JOIN mobility_booking b ON b.id = o.booking_id
     WHERE o.booking_id = %(booking_id)s AND o.driver_id = %(driver_id)s
     ORDER BY o.status = 'pending' DESC, o.id = b.offer_id DESC, o.id DESC LIMIT 1)
    UNION ALL
    SELECT o.id, o.booking_id, b.ride_id, b.passenger_id, o.status, o.reason
    FROM mobility_offer o JOIN mobility_booking b ON b.id = o.booking_id
    WHERE %(booking_id)s::bigint IS NULL AND o.driver_id = %(driver_id)s AND o.status = 'pending'
        AND b.ride_id = %(ride_id)s
    UNION ALL
    SELECT o.id, o.booking_id, b.ride_id, b.passenger_id, o.status, o.reason
    FROM mobility_booking b JOIN mobility_offer o ON o.id = b.offer_id
    WHERE %(booking_id)s::bigint IS NULL AND b.driver_id = %(driver_id)s AND b.status IN ('confirmed', 'in_progress')
        AND b.ride_id = %(ride_id)s
    UNION ALL
    (SELECT o.id, o.booking_id, b.ride_id, b.passenger_id, o.status, o.reason
     FROM (
        SELECT * FROM mobility_offer
        WHERE %(booking_id)s::bigint IS NULL AND driver_id = %(driver_id)s ORDER BY id DESC LIMIT 100
     ) o JOIN mobility_booking b ON b.id = o.booking_id
     WHERE b.ride_id = %(ride_id)s
     ORDER BY o.id DESC LIMIT 1)
) found
LIMIT 1
