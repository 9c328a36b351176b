DROP FUNCTION mobility_driver_fixes(bigint, timestamptz, timestamptz, double precision, double precision);
