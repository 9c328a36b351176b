-- Extend the leases of sockets that are still their drivers' newest.
UPDATE mobility_driver_presence p
SET seen_at = statement_timestamp(), lease_until = statement_timestamp() + make_interval(secs => %(lease_s)s)
FROM unnest(%(driver_ids)s::bigint[], %(socket_ids)s::uuid[]) AS open (driver_id, socket_id)
WHERE p.driver_id = open.driver_id AND p.socket_id = open.socket_id
RETURNING p.driver_id
