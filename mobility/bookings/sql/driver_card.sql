d.id AS driver_id,
    {{people/sql/display_name}} AS name,
    d.phone, d.vehicle_type, d.vehicle_registration, d.rating,
    ST_Y(l.position) AS latitude, ST_X(l.position) AS longitude
