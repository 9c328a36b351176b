SELECT status, reason, delivered_at, expires_at, expires_at <= clock_timestamp() AS is_over
FROM mobility_offer WHERE id = %(offer_id)s
