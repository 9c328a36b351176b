-- The published numbers as analysts see them. Beneath each view stand tables of numbers that can be told, so that nothing
-- is learnt from a plan, a cost or a function in a condition.

CREATE VIEW gis.published AS
SELECT p.id, p.kind, p.begins,
    (p.begins + CASE p.kind WHEN 'month' THEN interval '1 month' ELSE interval '1 day' END)::date AS ends,
    p.time_zone, p.published_at
FROM mobility_published p;
COMMENT ON VIEW gis.published IS
    'The days and months whose numbers were published. A number never changes after that; one is absent, or null, where it would be of fewer than 10 people, which may be nobody.';
COMMENT ON COLUMN gis.published.id IS 'Stable number of the row.';
COMMENT ON COLUMN gis.published.kind IS
    'day: demand_hours, area_days and matching_days; supply: supply_hours of a day; month: area_months and flows.';
COMMENT ON COLUMN gis.published.begins IS 'The day, or the first day of the month.';
COMMENT ON COLUMN gis.published.ends IS 'The day after the last.';
COMMENT ON COLUMN gis.published.time_zone IS 'In which zone days begin and end.';
COMMENT ON COLUMN gis.published.published_at IS 'When its numbers appeared.';

CREATE VIEW gis.service_areas AS
SELECT a.id, a.name::text AS name, a.active, a.matching_radius_m, a.area::geometry(MultiPolygon, 4326) AS geom
FROM mobility_service_area a;
COMMENT ON VIEW gis.service_areas IS 'Where passengers are picked up, as it is now; where areas overlap, the smallest counts.';
COMMENT ON COLUMN gis.service_areas.id IS 'Stable number of the area: area_id of other views.';
COMMENT ON COLUMN gis.service_areas.name IS 'Its name.';
COMMENT ON COLUMN gis.service_areas.active IS 'Whether passengers are picked up there. With no active area: everywhere.';
COMMENT ON COLUMN gis.service_areas.matching_radius_m IS
    'Metres from the pickup within which drivers are asked; null: as the service is set.';
COMMENT ON COLUMN gis.service_areas.geom IS 'Its surface, WGS 84.';

CREATE VIEW gis.demand_hours AS
SELECT h.id, h.area_id, coalesce(a.name, CASE h.area_id WHEN 0 THEN 'outside every area' ELSE 'area ' || h.area_id END)::text AS area,
    h.cell, h.hour, h.requests, x.geom
FROM mobility_published_hour h
JOIN mobility_published_hexagon x ON x.cell = h.cell
LEFT JOIN mobility_service_area a ON a.id = h.area_id;
COMMENT ON VIEW gis.demand_hours IS
    'Rides asked for by service area, hexagon of the pickup and hour, where 10 people or more asked; published two days after the day.';
COMMENT ON COLUMN gis.demand_hours.id IS 'Stable number of the row.';
COMMENT ON COLUMN gis.demand_hours.area_id IS 'The service area of the pickup; 0: outside every area.';
COMMENT ON COLUMN gis.demand_hours.area IS 'Its name.';
COMMENT ON COLUMN gis.demand_hours.cell IS 'Number of the hexagon, with edges of 1 km in EPSG:6933.';
COMMENT ON COLUMN gis.demand_hours.hour IS 'When the hour begins.';
COMMENT ON COLUMN gis.demand_hours.requests IS 'Rides, to the nearest 5.';
COMMENT ON COLUMN gis.demand_hours.geom IS 'The hexagon, WGS 84; one on a boundary has a row for each area.';

CREATE VIEW gis.supply_hours AS
SELECT s.id, s.cell, s.hour, s.idle_drivers, x.geom
FROM mobility_published_supply s
JOIN mobility_published_hexagon x ON x.cell = s.cell;
COMMENT ON VIEW gis.supply_hours IS
    'Drivers who were in a hexagon in an hour without having a ride, where there were 10 or more; none in a small fleet.';
COMMENT ON COLUMN gis.supply_hours.id IS 'Stable number of the row.';
COMMENT ON COLUMN gis.supply_hours.cell IS 'Number of the hexagon, with edges of 1 km in EPSG:6933.';
COMMENT ON COLUMN gis.supply_hours.hour IS 'When the hour begins.';
COMMENT ON COLUMN gis.supply_hours.idle_drivers IS
    'Different drivers, to the nearest 5; one who was in two hexagons or two hours counts in each.';
COMMENT ON COLUMN gis.supply_hours.geom IS 'The hexagon, WGS 84.';

CREATE VIEW gis.area_days AS
SELECT d.id, d.area_id, coalesce(a.name, CASE d.area_id WHEN 0 THEN 'outside every area' ELSE 'area ' || d.area_id END)::text AS area,
    d.period AS day, d.requests, d.completed, d.not_completed, d.wait_median_s, d.wait_p90_s, d.trip_length_median_m,
    d.trip_duration_median_s, a.area::geometry(MultiPolygon, 4326) AS geom
FROM mobility_published_area d
LEFT JOIN mobility_service_area a ON a.id = d.area_id
WHERE d.kind = 'day';
COMMENT ON VIEW gis.area_days IS 'Figures of a service area on a day, by when a ride was asked for; published two days after the day.';
COMMENT ON COLUMN gis.area_days.id IS 'Stable number of the row.';
COMMENT ON COLUMN gis.area_days.area_id IS 'The service area of the pickup; 0: outside every area.';
COMMENT ON COLUMN gis.area_days.area IS 'Its name.';
COMMENT ON COLUMN gis.area_days.day IS 'In the time zone of gis.published.';
COMMENT ON COLUMN gis.area_days.requests IS
    'Rides asked for, to the nearest 5. Those that no row of demand_hours counts are in it if they are of 10 people or more.';
COMMENT ON COLUMN gis.area_days.completed IS
    'Of these, rides that were driven to the end, to the nearest 5; null unless 10 people or more completed theirs and as many did not.';
COMMENT ON COLUMN gis.area_days.not_completed IS 'The others, to the nearest 5; null like completed.';
COMMENT ON COLUMN gis.area_days.wait_median_s IS
    'Seconds from the search to the driver''s arrival on completed rides, to the nearest 10: median, in which every passenger counts alike; null like completed.';
COMMENT ON COLUMN gis.area_days.wait_p90_s IS
    'The same: nine of ten passengers waited no longer. Only of 100 passengers or more.';
COMMENT ON COLUMN gis.area_days.trip_length_median_m IS 'Metres driven with the passenger, to the nearest 100: median.';
COMMENT ON COLUMN gis.area_days.trip_duration_median_s IS 'Seconds from start to end, to the nearest 10: median.';
COMMENT ON COLUMN gis.area_days.geom IS 'The area''s surface as it is now, WGS 84; null outside every area.';

CREATE VIEW gis.area_months AS
SELECT m.id, m.area_id, coalesce(a.name, CASE m.area_id WHEN 0 THEN 'outside every area' ELSE 'area ' || m.area_id END)::text AS area,
    m.period AS month, m.requests, m.followed, m.completed, m.not_completed, m.cancelled, m.no_show, m.unfulfilled,
    m.still_open, m.wait_median_s, m.wait_p90_s, m.trip_length_median_m, m.trip_duration_median_s, m.acceptance_pct,
    a.area::geometry(MultiPolygon, 4326) AS geom
FROM mobility_published_area m
LEFT JOIN mobility_service_area a ON a.id = m.area_id
WHERE m.kind = 'month';
COMMENT ON VIEW gis.area_months IS 'Figures of a service area in a month; published two days after its end.';
COMMENT ON COLUMN gis.area_months.id IS 'Stable number of the row.';
COMMENT ON COLUMN gis.area_months.area_id IS 'The service area of the pickup; 0: outside every area.';
COMMENT ON COLUMN gis.area_months.area IS 'Its name.';
COMMENT ON COLUMN gis.area_months.month IS 'Its first day.';
COMMENT ON COLUMN gis.area_months.requests IS
    'Rides asked for, to the nearest 5: those of area_days, and the others if they are of 10 people or more.';
COMMENT ON COLUMN gis.area_months.followed IS
    'Rides that the outcomes are of, to the nearest 5; null: no outcomes.';
COMMENT ON COLUMN gis.area_months.completed IS 'Of these, rides that were driven to the end, to the nearest 5.';
COMMENT ON COLUMN gis.area_months.not_completed IS 'The other followed rides, to the nearest 5.';
COMMENT ON COLUMN gis.area_months.cancelled IS
    'Of these, rides cancelled while a driver had them or before a search began; null: few, none, or kept back so that others can be told.';
COMMENT ON COLUMN gis.area_months.no_show IS 'Rides whose passenger was not there; null like cancelled.';
COMMENT ON COLUMN gis.area_months.unfulfilled IS
    'Rides that nobody took: without a driver at the end of the search or when they were cancelled; null like cancelled.';
COMMENT ON COLUMN gis.area_months.still_open IS 'Rides that were not over two days later; null like cancelled.';
COMMENT ON COLUMN gis.area_months.wait_median_s IS
    'Seconds from the search to the driver''s arrival on completed rides, to the nearest 10: median, in which every passenger counts alike.';
COMMENT ON COLUMN gis.area_months.wait_p90_s IS
    'The same: nine of ten passengers waited no longer. Only of 100 passengers or more.';
COMMENT ON COLUMN gis.area_months.trip_length_median_m IS 'Metres driven with the passenger, to the nearest 100: median.';
COMMENT ON COLUMN gis.area_months.trip_duration_median_s IS 'Seconds from start to end, to the nearest 10: median.';
COMMENT ON COLUMN gis.area_months.acceptance_pct IS
    'Of the requests drivers answered or let run out, how many in a hundred they accepted, to the nearest 5; null unless 10 drivers or more accepted, as many did not, and both for 10 passengers or more.';
COMMENT ON COLUMN gis.area_months.geom IS 'The area''s surface as it is now, WGS 84; null outside every area.';

CREATE VIEW gis.flows AS
SELECT f.id, f.from_area_id,
    coalesce(a.name, CASE f.from_area_id WHEN 0 THEN 'outside every area' ELSE 'area ' || f.from_area_id END)::text AS from_area,
    f.to_area_id,
    coalesce(b.name, CASE f.to_area_id WHEN 0 THEN 'outside every area' ELSE 'area ' || f.to_area_id END)::text AS to_area,
    f.period AS month, f.requests
FROM mobility_published_flow f
LEFT JOIN mobility_service_area a ON a.id = f.from_area_id
LEFT JOIN mobility_service_area b ON b.id = f.to_area_id;
COMMENT ON VIEW gis.flows IS
    'Rides asked for from one service area to another in a month; origin and destination are together nowhere else.';
COMMENT ON COLUMN gis.flows.id IS 'Stable number of the row.';
COMMENT ON COLUMN gis.flows.from_area_id IS 'The service area of the pickup; 0: outside every area.';
COMMENT ON COLUMN gis.flows.from_area IS 'Its name.';
COMMENT ON COLUMN gis.flows.to_area_id IS 'The smallest area that was active when the day was published, around the dropoff; 0: none.';
COMMENT ON COLUMN gis.flows.to_area IS 'Its name.';
COMMENT ON COLUMN gis.flows.month IS 'Its first day.';
COMMENT ON COLUMN gis.flows.requests IS 'Rides, to the nearest 5; no row where they are of fewer than 10 people, and for some others so that those cannot be told.';

CREATE VIEW gis.matching_days AS
SELECT v.id, v.area_id, coalesce(a.name, CASE v.area_id WHEN 0 THEN 'outside every area' ELSE 'area ' || v.area_id END)::text AS area,
    v.period AS day, v.verdict, v.passed_over
FROM mobility_published_verdict v
LEFT JOIN mobility_service_area a ON a.id = v.area_id;
COMMENT ON VIEW gis.matching_days IS
    'Why drivers near a pickup were not asked: the first rule that ruled them out, by service area and day; of 10 drivers and 10 passengers or more.';
COMMENT ON COLUMN gis.matching_days.id IS 'Stable number of the row.';
COMMENT ON COLUMN gis.matching_days.area_id IS 'The service area of the pickup; 0: outside every area.';
COMMENT ON COLUMN gis.matching_days.area IS 'Its name.';
COMMENT ON COLUMN gis.matching_days.day IS 'When the ride was asked for, in the time zone of gis.published.';
COMMENT ON COLUMN gis.matching_days.verdict IS
    'busy, stale, offline, too_far, vehicle_type, unverified, declined, expired, released, asked_already, asked_elsewhere, unreachable, not_needed or own_ride.';
COMMENT ON COLUMN gis.matching_days.passed_over IS
    'How often, each driver in each round of each search, to the nearest 5.';

GRANT SELECT ON gis.published, gis.service_areas, gis.demand_hours, gis.supply_hours, gis.area_days, gis.area_months,
    gis.flows, gis.matching_days TO careconnect_analyst, careconnect_operations, careconnect_app;
