-- Counts by hexagon are of hours that were counted.
SELECT h.hour, count(*) AS cells FROM mobility_demand_hour h
WHERE NOT EXISTS (SELECT FROM mobility_demand_made m WHERE m.hour = h.hour)
GROUP BY h.hour
