-- What was needed of its rides is not, once a month is published.
DELETE FROM mobility_published_ride WHERE period >= %(begins)s AND period < %(begins)s::date + interval '1 month'
