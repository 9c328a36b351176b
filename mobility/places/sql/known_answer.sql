SELECT answer::text AS answer FROM mobility_geocode_answer
WHERE key = %(key)s AND made_at > statement_timestamp() - make_interval(secs => %(keep_days)s * 86400)
