-- A grid of hexagons over the whole Earth, for every length of edge: equal areas, by EPSG:6933, in closed form.
--
-- Columns and rows are those of ST_HexagonGrid on that projection, (0, 0) around 0 N 0 E. A cell's number holds both, row
-- first, so that the cells of a band of latitudes are one range of numbers: 16 bits of row, 17 of column, each from the
-- middle. Enough for edges of 180 m and more, and with 20 bits of hours still a whole number that JavaScript keeps.

-- The cell at metres of EPSG:6933. A point on an edge belongs to one cell alone. The formula counts lines of three
-- directions between the centre and the point; no look at neighbours is needed.
CREATE FUNCTION mobility_hex_at(x double precision, y double precision, size_m integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (((floor((floor(2 * y / (sqrt(3.0::float8) * size_m) + 1) + floor((x + y / sqrt(3.0::float8)) / size_m + 1)) / 3)::bigint
            - ((floor((floor((x + y / sqrt(3.0::float8)) / size_m + 1)
                + floor((x - y / sqrt(3.0::float8)) / size_m + 1)) / 3)::bigint + 1) >> 1)) + 32768) << 17)
        + floor((floor((x + y / sqrt(3.0::float8)) / size_m + 1)
            + floor((x - y / sqrt(3.0::float8)) / size_m + 1)) / 3)::bigint + 65536
$$;
COMMENT ON FUNCTION mobility_hex_at(double precision, double precision, integer) IS
    'The number of the hexagon with edges of size_m at metres of EPSG:6933; inlined by the planner.';

-- The cell of a place on Earth.
CREATE FUNCTION mobility_hex_of("position" geometry, size_m integer) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    place CONSTANT geometry := ST_Transform("position", 6933);
    x CONSTANT double precision := ST_X(place);
    y CONSTANT double precision := ST_Y(place);
BEGIN
    RETURN mobility_hex_at(x, y, size_m);
END
$$;
COMMENT ON FUNCTION mobility_hex_of(geometry, integer) IS
    'The number of the hexagon with edges of size_m around a point: the cell of mobility_hex_cell.';

-- A cell as a polygon in degrees, counter-clockwise. What would reach over the antimeridian or a pole is cut off there, so
-- the cells along them are smaller, and no polygon leaves the map.
CREATE FUNCTION mobility_hex_cell(cell bigint, size_m integer) RETURNS geometry(Polygon, 4326)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    hexagon geometry := ST_Hexagon(
        size_m, ((cell & 131071) - 65536)::integer, ((cell >> 17) - 32768)::integer,
        '0101000020151B000000000000000000000000000000000000'); -- POINT(0 0) of EPSG:6933
    -- A millimetre inside of what the projection can give back.
    world CONSTANT geometry := ST_MakeEnvelope(-17367530.445, -7342230.136, 17367530.445, 7342230.136, 6933);
BEGIN
    IF NOT hexagon @ world THEN
        hexagon := ST_Intersection(hexagon, world);
    END IF;
    -- Corners that are one point of two cells are so to the last digit.
    RETURN ST_ForcePolygonCCW(ST_SnapToGrid(ST_Transform(hexagon, 4326), 1e-9));
END
$$;
COMMENT ON FUNCTION mobility_hex_cell(bigint, integer) IS
    'The hexagon of a number from mobility_hex_of with the same size_m; empty for a number off the Earth.';

-- The numbers that the cells touching a box of degrees can have: from cell to cell, and from column to column
-- (cell & 131071). A few more than touch it.
CREATE FUNCTION mobility_hex_reach(box geometry, size_m integer) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    low CONSTANT geometry := ST_Transform(ST_SetSRID(ST_MakePoint(
        greatest(ST_XMin(box), -180), greatest(ST_YMin(box), -90)), 4326), 6933);
    high CONSTANT geometry := ST_Transform(ST_SetSRID(ST_MakePoint(
        least(ST_XMax(box), 180), least(ST_YMax(box), 90)), 4326), 6933);
    column_m CONSTANT double precision := 1.5 * size_m;
    row_m CONSTANT double precision := sqrt(3.0::float8) * size_m;
BEGIN
    RETURN ARRAY[
        (floor(ST_Y(low) / row_m)::bigint - 1 + 32768) << 17,
        ((ceil(ST_Y(high) / row_m)::bigint + 2 + 32768) << 17) - 1,
        floor(ST_X(low) / column_m)::bigint - 1 + 65536,
        ceil(ST_X(high) / column_m)::bigint + 1 + 65536];
END
$$;
COMMENT ON FUNCTION mobility_hex_reach(geometry, integer) IS
    'First and last cell, first and last column that a box of degrees can reach.';

-- A count as people see it who may not see single persons.
CREATE FUNCTION mobility_coarse_count(counted bigint, min_count integer DEFAULT 10) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN counted >= min_count THEN (counted + 2) / 5 * 5 END
$$;
COMMENT ON FUNCTION mobility_coarse_count(bigint, integer) IS
    'Null below min_count, else rounded to the nearest 5: for readers who must not learn about single persons.';
