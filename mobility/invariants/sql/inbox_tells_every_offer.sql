-- Whoever was asked was told, and whoever was told of a request was told how it ended.
SELECT o.id AS offer_id, o.driver_id, o.status FROM mobility_offer o
WHERE o.round > 0 AND (
    (o.origin = 'asked' AND NOT EXISTS (
        SELECT FROM mobility_driver_inbox i
        WHERE i.driver_id = o.driver_id AND i.offer_id = o.id AND i.kind = 'ride_request'))
    OR (o.origin = 'asked' AND o.status IN ('expired', 'withdrawn') AND NOT EXISTS (
        SELECT FROM mobility_driver_inbox i
        WHERE i.driver_id = o.driver_id AND i.offer_id = o.id AND i.kind = 'ride_request_closed'))
    OR (o.status IN ('accepted', 'released') AND NOT EXISTS (
        SELECT FROM mobility_driver_inbox i
        WHERE i.driver_id = o.driver_id AND i.offer_id = o.id AND i.kind = 'ride_assigned')))
