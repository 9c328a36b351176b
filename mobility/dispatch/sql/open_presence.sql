-- A driver's newest socket takes the place of an older one.
INSERT INTO mobility_driver_presence AS p (driver_id, socket_id, connected_at, seen_at, lease_until)
VALUES (%(driver_id)s, %(socket_id)s, clock_timestamp(), clock_timestamp(),
    clock_timestamp() + make_interval(secs => %(lease_s)s))
ON CONFLICT (driver_id) DO UPDATE
SET socket_id = EXCLUDED.socket_id, connected_at = EXCLUDED.connected_at, seen_at = EXCLUDED.seen_at,
    lease_until = EXCLUDED.lease_until
