-- A driver is asked for one ride at a time.
SELECT driver_id, count(*) AS offers, min(id) AS first_offer_id FROM mobility_offer
WHERE status = 'pending' GROUP BY driver_id HAVING count(*) > 1
