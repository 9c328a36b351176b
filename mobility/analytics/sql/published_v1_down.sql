DROP TABLE mobility_published_ride, mobility_published_verdict, mobility_published_flow, mobility_published_area,
    mobility_published_supply, mobility_published_hour, mobility_published_hexagon, mobility_published;
DROP FUNCTION mobility_published_numbers_guard();
DROP FUNCTION mobility_published_guard();
