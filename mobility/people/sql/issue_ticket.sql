-- A new socket ticket; the expired ones go in passing. Its life is measured by this database's clock.
WITH expired AS (
    DELETE FROM mobility_socket_ticket WHERE expires_at <= clock_timestamp()
)
INSERT INTO mobility_socket_ticket (digest, user_id, token_digest, ride_id, expires_at)
VALUES (%(digest)s, %(user_id)s, %(token_digest)s, %(ride_id)s, clock_timestamp() + make_interval(secs => %(ttl_s)s))
RETURNING expires_at;
