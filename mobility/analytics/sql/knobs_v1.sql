-- What of the service's configuration the views go by. The service tells it; where it never has, its defaults hold.
CREATE TABLE mobility_knob (
    name text PRIMARY KEY,
    value double precision NOT NULL,
    told_at timestamptz NOT NULL DEFAULT statement_timestamp()
);
COMMENT ON TABLE mobility_knob IS 'Settings of the service that schema gis goes by, as the service last told them.';
COMMENT ON COLUMN mobility_knob.name IS 'stale_after_s (seconds), auto_assign (1 or 0).';
