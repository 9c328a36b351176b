DROP FUNCTION mobility_coarse_count(bigint, integer);
DROP FUNCTION mobility_hex_reach(geometry, integer);
DROP FUNCTION mobility_hex_cell(bigint, integer);
DROP FUNCTION mobility_hex_of(geometry, integer);
DROP FUNCTION mobility_hex_at(double precision, double precision, integer);
