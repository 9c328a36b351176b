-- The next turn to ask this geocoder, and how long it is until then; no row when that is longer than one would wait.
-- The row's lock makes turns one after the other for all processes and hosts, and the clock is the database's.
INSERT INTO mobility_geocoder_turn AS turn (geocoder, next_at)
VALUES (%(geocoder)s, clock_timestamp() + make_interval(secs => %(every_s)s))
ON CONFLICT (geocoder) DO UPDATE
    SET next_at = greatest(turn.next_at, clock_timestamp()) + make_interval(secs => %(every_s)s)
    WHERE turn.next_at <= clock_timestamp() + make_interval(secs => %(longest_s)s)
RETURNING next_at - make_interval(secs => %(every_s)s) AS at,
    greatest(0, extract(epoch FROM next_at - make_interval(secs => %(every_s)s) - clock_timestamp()))::float8 AS wait_s
