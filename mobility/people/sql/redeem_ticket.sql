-- Use a ticket up: of two who try, one deletes the row and has it.
DELETE FROM mobility_socket_ticket
WHERE digest = %(digest)s AND expires_at > clock_timestamp()
RETURNING user_id, token_digest, ride_id;
