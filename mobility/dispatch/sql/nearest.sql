WITH {{candidates}}
SELECT c.driver_id, c.distance_m, ST_Y(c.position) AS latitude, ST_X(c.position) AS longitude,
    reach.fetched, reach.certain_m
FROM reach LEFT JOIN candidates c ON c.distance_m <= reach.certain_m
ORDER BY c.distance_m, c.driver_id
