-- The geocoder said that it wants to be left alone for so long.
UPDATE mobility_geocoder_turn
SET next_at = greatest(next_at, clock_timestamp() + make_interval(secs => %(for_s)s))
WHERE geocoder = %(geocoder)s
