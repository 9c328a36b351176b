-- A driver as they see themselves now: one row.
SELECT d.id AS driver_id, d.status, d.auto_accept, d.verified, d.stationary, d.missed_offers, d.inbox_seq,
    d.total_rides, d.vehicle_type,
    ST_Y(l.position) AS latitude, ST_X(l.position) AS longitude, l.recorded_at,
    (SELECT b.offer_id FROM mobility_booking b WHERE b.driver_id = d.id AND b.status IN ('confirmed', 'in_progress'))
        AS held_offer_id,
    (SELECT o.id FROM mobility_offer o WHERE o.driver_id = d.id AND o.status = 'pending') AS offer_id
FROM mobility_driver d LEFT JOIN mobility_driver_location l ON l.driver_id = d.id
WHERE d.id = %(driver_id)s
