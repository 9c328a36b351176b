{{ride_of_offer}}
WHERE o.id = %(offer_id)s
