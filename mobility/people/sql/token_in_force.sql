-- The login tokens in force that begin so, each with its active user: the columns of the token, then those of the user.
SELECT t.digest, t.token_key, t.user_id, t.created, t.expiry,
    u.id, u.password, u.last_login, u.is_superuser, u.username, u.first_name, u.last_name, u.email, u.is_staff,
    u.is_active, u.date_joined, u.phone, u.roles
FROM knox_authtoken t JOIN mobility_user u ON u.id = t.user_id
WHERE t.token_key = %(token_key)s AND u.is_active AND (t.expiry IS NULL OR t.expiry > statement_timestamp())
