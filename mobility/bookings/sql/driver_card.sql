d.id AS driver_id, {{people/sql/display_name}} AS name,
    d.vehicle_type, d.vehicle_registration, d.rating,
    -- Whom to call and where they are is the passenger's business only while the driver is theirs.
    CASE WHEN b.driver_id = d.id AND b.status IN ('confirmed', 'in_progress') THEN d.phone END AS phone,
    CASE WHEN b.driver_id = d.id AND b.status IN ('confirmed', 'in_progress') THEN ST_Y(l.position) END AS latitude,
    CASE WHEN b.driver_id = d.id AND b.status IN ('confirmed', 'in_progress') THEN ST_X(l.position) END AS longitude
