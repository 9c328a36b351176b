SELECT greatest(0, extract(epoch FROM next_at - clock_timestamp()))::float8 AS wait_s
FROM mobility_geocoder_turn WHERE geocoder = %(geocoder)s
