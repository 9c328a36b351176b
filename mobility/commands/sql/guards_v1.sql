-- An answer once given stays: forgotten early it could be given, and the command done, a second time.

CREATE FUNCTION mobility_command_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION 'the answer to command % was given and stays', OLD.command_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'command_is_answered_once';
    END IF;
    IF OLD.made_at > statement_timestamp() - interval '1 day' THEN
        RAISE EXCEPTION 'command % is remembered for a day at least', OLD.command_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'command_is_remembered';
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER command_guard BEFORE UPDATE OR DELETE ON mobility_command
    FOR EACH ROW EXECUTE FUNCTION mobility_command_guard();

REVOKE UPDATE ON mobility_command FROM careconnect_app;
