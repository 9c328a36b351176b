-- Counts are of whole hours.

ALTER TABLE mobility_demand_hour ADD CONSTRAINT demand_hour_is_whole CHECK (extract(epoch FROM hour) % 3600 = 0);
ALTER TABLE mobility_demand_made ADD CONSTRAINT demand_made_hour_is_whole CHECK (extract(epoch FROM hour) % 3600 = 0);

COMMENT ON TABLE mobility_demand_hour IS
    'Rides asked for and idle drivers by hexagon and hour (UTC), each size of hexagons by itself; no row where all are zero.';
COMMENT ON COLUMN mobility_demand_hour.size_m IS 'Length of the hexagon''s edges, metres of EPSG:6933.';
COMMENT ON COLUMN mobility_demand_hour.hour IS 'Its beginning.';
COMMENT ON COLUMN mobility_demand_hour.cell IS 'Number of the hexagon: mobility_hex_of, mobility_hex_cell.';
COMMENT ON COLUMN mobility_demand_hour.requests IS 'Bookings requested in the hour with their pickup in the hexagon.';
COMMENT ON COLUMN mobility_demand_hour.unfulfilled IS
    'Of these, those that are unfulfilled, or were cancelled after a search and without a driver.';
COMMENT ON COLUMN mobility_demand_hour.idle_drivers IS
    'Different drivers who told a position in the hexagon in the hour while they had no ride; null: not known.';
COMMENT ON TABLE mobility_demand_made IS 'The hours that were counted, and when.';
COMMENT ON COLUMN mobility_demand_made.due_at IS 'When it is counted again; null: final.';
