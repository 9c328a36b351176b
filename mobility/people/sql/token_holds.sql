-- Whether a login token is in force and its user active.
SELECT EXISTS (
    SELECT FROM knox_authtoken t JOIN mobility_user u ON u.id = t.user_id
    WHERE t.digest = %(digest)s AND t.user_id = %(user_id)s AND u.is_active
        AND (t.expiry IS NULL OR t.expiry > statement_timestamp())
) AS holds
