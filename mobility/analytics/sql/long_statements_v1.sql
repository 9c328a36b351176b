-- A login may set its own statement_timeout back to none. What runs too long is ended here all the same: a statement is
-- cancelled, and a transaction that is ten times as old ends with its session, because it keeps dead rows from being removed.
-- The owner may do so only with logins it is a member of, which create_analyst sees to.
CREATE FUNCTION mobility_end_long_statements(longest_s double precision)
RETURNS TABLE (login text, ended text, lasted_s double precision)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF longest_s IS NULL OR NOT longest_s >= 1 THEN
        RAISE EXCEPTION 'a statement has a second at least'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'statements_have_a_second';
    END IF;
    RETURN QUERY
    SELECT old.usename::text, CASE WHEN old.whole THEN 'session' ELSE 'statement' END, old.age_s
    FROM (
        SELECT a.usename, a.pid, kind.whole,
            extract(epoch FROM clock_timestamp() - CASE WHEN kind.whole THEN a.xact_start ELSE a.query_start END)::float8 AS age_s
        FROM pg_stat_activity a
        JOIN pg_auth_members m ON m.member = a.usesysid AND m.roleid = 'careconnect_analyst'::regrole
        CROSS JOIN LATERAL (
            SELECT a.xact_start < clock_timestamp() - make_interval(secs => 10 * longest_s) AS whole) kind
        WHERE a.datname = current_database() AND a.usename NOT IN (current_user, 'careconnect_app')
            AND pg_has_role(current_user, a.usesysid, 'USAGE')
            AND (kind.whole OR a.state = 'active' AND a.query_start < clock_timestamp() - make_interval(secs => longest_s))
        OFFSET 0
    ) old
    WHERE CASE WHEN old.whole THEN pg_terminate_backend(old.pid) ELSE pg_cancel_backend(old.pid) END;
END
$$;
