d.id AS driver_id,
    coalesce(nullif(concat_ws(' ', nullif(u.first_name, ''), nullif(u.last_name, '')), ''), u.username) AS name,
    d.phone, d.vehicle_type, d.vehicle_registration, d.rating,
    ST_Y(l.position) AS latitude, ST_X(l.position) AS longitude
