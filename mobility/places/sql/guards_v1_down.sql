ALTER TABLE mobility_place DROP CONSTRAINT place_on_earth;
