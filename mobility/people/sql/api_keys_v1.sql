-- A key is made, used and revoked. Its digest, its scopes and its end stay as they were made, and revoked is for ever.

REVOKE UPDATE, DELETE ON mobility_api_key FROM careconnect_app;
GRANT UPDATE (revoked_at, last_used_at) ON mobility_api_key TO careconnect_app;

CREATE FUNCTION mobility_api_key_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
        RAISE EXCEPTION 'API key % was revoked and stays so', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'api_key_stays_revoked';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER api_key_guard BEFORE UPDATE ON mobility_api_key
    FOR EACH ROW EXECUTE FUNCTION mobility_api_key_guard();

COMMENT ON TABLE mobility_api_key IS
    'Keys that read what their scopes name: for dashboards and scripts, never for people.';
COMMENT ON COLUMN mobility_api_key.name IS 'What the key is for.';
COMMENT ON COLUMN mobility_api_key.digest IS 'SHA-256 of the key''s text, which is stored nowhere.';
COMMENT ON COLUMN mobility_api_key.prefix IS 'The first characters of the text, to know the key again.';
COMMENT ON COLUMN mobility_api_key.scopes IS 'What it may read.';
COMMENT ON COLUMN mobility_api_key.created_by_id IS 'Who made it in the admin; null: manage.py api_key.';
COMMENT ON COLUMN mobility_api_key.expires_at IS
    'From then on it opens nothing; five years after it was made at the latest.';
COMMENT ON COLUMN mobility_api_key.revoked_at IS 'From then on it opens nothing.';
COMMENT ON COLUMN mobility_api_key.last_used_at IS 'When it was last accepted, to the minute.';
