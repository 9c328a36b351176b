-- Keys that stand for people. A person has one key a month, made of a secret of that month: within the month everything of
-- theirs can be put together, across months nothing can, and when the secret is thrown away nobody can make the keys again.
-- HMAC-SHA-256 (RFC 2104) of what kind of person it is and their number. The secret is stored as the two blocks that the
-- hashes begin with, so that a key costs two hashes and nothing else.

CREATE TABLE mobility_surrogate_secret (
    month date PRIMARY KEY,
    inner_block bytea NOT NULL,
    outer_block bytea NOT NULL
);
COMMENT ON TABLE mobility_surrogate_secret IS 'Of each month (UTC) the secret of the keys that stand for people in schema gis.';
COMMENT ON COLUMN mobility_surrogate_secret.month IS 'Its first day.';
COMMENT ON COLUMN mobility_surrogate_secret.inner_block IS 'The secret, XOR 0x36 in each of 64 bytes.';
COMMENT ON COLUMN mobility_surrogate_secret.outer_block IS 'The secret, XOR 0x5c in each of 64 bytes.';
-- Who could read it could try every number of a driver until one fits a key.
REVOKE ALL ON mobility_surrogate_secret FROM careconnect_app;

-- 53 bits: JavaScript, JSON and QGIS keep every digit of such a number.
CREATE FUNCTION mobility_surrogate_key(inner_block bytea, outer_block bytea, kind bytea, id bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ('x' || left(
        encode(sha256(outer_block || sha256(inner_block || kind || int8send(id))), 'hex'), 14))::bit(56)::bigint >> 3
$$;

-- Make what is missing of the last months, of this one and the next, and throw older secrets away; how many changed.
CREATE FUNCTION mobility_keep_surrogate_secrets(keep_months integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    this_month date := date_trunc('month', statement_timestamp())::date;
    month_of date;
    secret bytea;
    inner_of bytea;
    outer_of bytea;
    changed integer;
BEGIN
    IF keep_months < 1 OR keep_months > 1200 THEN
        RAISE EXCEPTION 'the secret of this month stays, and no more than a hundred years of them are kept'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'surrogate_months_are_sane';
    END IF;
    DELETE FROM mobility_surrogate_secret s WHERE s.month <= this_month - make_interval(months => keep_months);
    GET DIAGNOSTICS changed = ROW_COUNT;
    FOR month_of IN
        SELECT g::date FROM generate_series(
            this_month - make_interval(months => keep_months - 1), this_month + interval '1 month', interval '1 month') g
        WHERE NOT EXISTS (SELECT FROM mobility_surrogate_secret s WHERE s.month = g::date)
    LOOP
        -- 244 random bits of the operating system's: each UUID has six that are fixed.
        secret := uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());
        inner_of := decode(repeat('36', 64), 'hex');
        outer_of := decode(repeat('5c', 64), 'hex');
        FOR i IN 0 .. 31 LOOP
            inner_of := set_byte(inner_of, i, get_byte(secret, i) # 54);
            outer_of := set_byte(outer_of, i, get_byte(secret, i) # 92);
        END LOOP;
        INSERT INTO mobility_surrogate_secret VALUES (month_of, inner_of, outer_of) ON CONFLICT DO NOTHING;
        changed := changed + 1;
    END LOOP;
    RETURN changed;
END
$$;

SELECT mobility_keep_surrogate_secrets(13);
