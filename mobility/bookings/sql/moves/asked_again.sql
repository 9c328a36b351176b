-- A ride for which nobody was found is searched for again, with what the passenger asks for now.
WITH moved AS (
    UPDATE mobility_booking
    SET status = 'pending', seq = seq + 1, unfulfilled_at = NULL, search_started_at = statement_timestamp(),
        search_until = statement_timestamp() + make_interval(secs => %(search_timeout_s)s),
        due_at = statement_timestamp(),
        passenger_phone = %(passenger_phone)s,
        pickup = ST_SetSRID(ST_MakePoint(%(pickup_longitude)s, %(pickup_latitude)s), 4326),
        pickup_address = %(pickup_address)s,
        dropoff = ST_SetSRID(ST_MakePoint(%(dropoff_longitude)s, %(dropoff_latitude)s), 4326),
        dropoff_address = %(dropoff_address)s,
        vehicle_type = %(vehicle_type)s, notes = %(notes)s,
        distance_m = %(distance_m)s, distance_origin = %(distance_origin)s, duration_s = %(duration_s)s,
        fare_minor = %(fare_minor)s, fare_currency = %(fare_currency)s, fare_origin = %(fare_origin)s,
        request_digest = %(request_digest)s,
        service_area_id = %(service_area_id)s, search_radius_m = %(search_radius_m)s
    WHERE id = %(booking_id)s
    RETURNING id, seq, status
)
{{log}}
