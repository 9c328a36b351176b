-- No guard is switched off or missing: triggers enabled, constraints valid, the application may not delete or rewrite.
SELECT 'trigger ' || tgname || ' is disabled' AS wall FROM pg_trigger
WHERE tgrelid::regclass::text LIKE 'mobility\_%%' AND tgenabled = 'D'
UNION ALL
SELECT 'missing: ' || name FROM unnest(ARRAY[
    'booking_address', 'booking_area', 'booking_at_commit', 'booking_binding', 'booking_guard', 'booking_offers_at_commit', 'command_guard',
    'driver_at_commit',
    'api_key_guard',
    'driver_offers_at_commit', 'driver_to_location', 'driver_user_is_fixed', 'inbox_counter',
    'inbox_counter_at_commit', 'inbox_counter_begins', 'inbox_at_commit', 'inbox_guard', 'location_follows_driver',
    'location_from_driver',
    'location_keeps_its_driver', 'location_newest_wins', 'offer_at_commit', 'offer_guard',
    'ride_event_at_commit', 'ride_event_guard', 'trip_guard', 'booking_version', 'driver_version',
    'driver_location_version', 'position_version', 'user_version',
    'driver_name_of_user', 'driver_name_stays_users', 'user_name_to_driver', 'service_area_version',
    'published_guard',
    'published_area_guard', 'published_flow_guard', 'published_hour_guard', 'published_supply_guard',
    'published_verdict_guard'
]) name
WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = name)
UNION ALL
SELECT 'missing: ' || name FROM unnest(ARRAY[
    'mobility_allowed_move_pkey', 'mobility_command_pkey', 'mobility_driver_inbox_pkey', 'mobility_driver_location_pkey',
    'mobility_driver_presence_pkey', 'mobility_position_pkey', 'mobility_ride_event_pkey', 'mobility_search_considered_pkey',
    'mobility_search_round_pkey', 'mobility_socket_ticket_pkey', 'mobility_driver_license_number_key',
    'mobility_driver_phone_key', 'mobility_driver_user_id_key', 'mobility_driver_vehicle_registration_key',
    'mobility_location_key_digest_key', 'mobility_trip_pkey', 'mobility_geocode_answer_pkey',
    'mobility_geocoder_turn_pkey', 'place_once_per_source',
    'mobility_demand_hour_pkey', 'mobility_demand_made_pkey', 'mobility_service_area_name_key',
    'mobility_api_key_digest_key', 'mobility_knob_pkey', 'mobility_surrogate_secret_pkey',
    'mobility_api_key_digest_key', 'published_once', 'published_hexagon_once',
    'offer_of_ride_and_driver', 'mobility_user_phone_key', 'mobility_user_username_key',
    'mobility_user_groups_user_id_group_id_d2248d4b_uniq',
    'mobility_user_user_permi_user_id_permission_id_1a6936de_uniq', 'booking_one_live_per_driver',
    'booking_one_live_per_passenger', 'booking_one_open_per_guest_ride_id',
    'booking_one_per_passenger_and_ride_id', 'offer_one_accepted_per_ride', 'offer_one_live_per_driver'
]) name
WHERE NOT EXISTS (
    SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relname = name AND i.indisunique AND i.indisvalid)
UNION ALL
SELECT 'missing: ' || name FROM unnest(ARRAY[
    'api_key_digest_is_one', 'api_key_expires_in_time', 'api_key_scopes_are_known',
    'booking_bound_has_driver', 'booking_cancellation_is_told', 'booking_distance_is_sane',
    'booking_driver_has_offer', 'booking_dropoff_on_earth', 'booking_duration_is_sane',
    'booking_fare_has_origin', 'booking_fare_not_negative', 'booking_live_has_deadline',
    'booking_pickup_on_earth', 'booking_ride_id_is_plain', 'booking_search_has_limit',
    'booking_status_has_its_time', 'booking_status_is_known',
    'booking_waiting_has_no_driver', 'mobility_booking_releases_check',
    'mobility_booking_rounds_check', 'mobility_booking_seq_check', 'driver_phone_is_e164',
    'driver_rating_is_1_to_5', 'driver_status_is_known', 'driver_vehicle_type_is_known',
    'mobility_driver_inbox_seq_check1', 'mobility_driver_missed_offers_check',
    'mobility_driver_total_rides_check', 'inbox_kind_is_known', 'inbox_seq_from_1',
    'mobility_driver_inbox_seq_check', 'location_heading_in_circle', 'location_within_index_slack',
    'location_not_from_the_future',
    'location_position_on_earth', 'location_speed_is_sane', 'mobility_offer_round_check',
    'offer_origin_is_known', 'round_outcome_is_known',
    'offer_distance_is_sane', 'offer_pending_has_deadline', 'offer_status_is_known',
    'offer_withdrawal_has_reason', 'position_accuracy_is_sane', 'position_door_is_known',
    'position_heading_in_circle', 'position_not_from_the_future', 'position_on_earth', 'position_speed_is_sane',
    'mobility_ride_event_seq_check', 'ride_event_seq_from_1',
    'command_id_is_plain', 'considered_verdict_is_known', 'mobility_search_considered_round_check',
    'mobility_search_round_round_check', 'user_phone_is_e164', 'user_roles_are_known',
    'trip_positions_have_times', 'booking_radius_is_sane',
    'service_area_has_a_name', 'service_area_is_not_empty', 'service_area_is_valid', 'service_area_on_earth',
    'service_area_radius_is_sane',
    'place_has_a_name', 'place_importance_is_a_share', 'place_on_earth',
    'demand_cell_has_number', 'demand_counts_are_sane', 'demand_hour_is_whole', 'demand_made_hour_is_whole',
    'demand_size_is_offered',
    'published_area_is_coarse', 'published_flow_is_coarse', 'published_hour_is_coarse', 'published_kind_is_known',
    'published_month_begins_on_the_first', 'published_supply_is_coarse', 'published_verdict_is_coarse',
    'trip_counts_not_negative', 'trip_lengths_are_sane', 'trip_line_has_fixes', 'trip_times_in_order', 'trip_track_on_earth',
    'user_username_is_no_other_phone', 'booking_driver_is_the_offers', 'ride_event_move_allowed'
]) name
WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conname = name)
UNION ALL
SELECT 'constraint ' || conname || ' is not valid' FROM pg_constraint
WHERE conrelid::regclass::text LIKE 'mobility\_%%' AND NOT convalidated
UNION ALL
SELECT 'careconnect_app may ' || privilege || ' ' || name
FROM (VALUES
    ('mobility_allowed_move', 'INSERT'), ('mobility_allowed_move', 'UPDATE'),
    ('mobility_allowed_move', 'DELETE'), ('mobility_api_key', 'UPDATE'), ('mobility_api_key', 'DELETE'),
    ('mobility_booking', 'DELETE'), ('mobility_booking', 'TRUNCATE'),
    ('mobility_command', 'UPDATE'),
    ('mobility_driver', 'DELETE'), ('mobility_driver_inbox', 'UPDATE'), ('mobility_driver_inbox', 'DELETE'),
    ('mobility_driver_location', 'DELETE'), ('mobility_driver_presence', 'DELETE'),
    ('mobility_offer', 'DELETE'), ('mobility_position', 'UPDATE'), ('mobility_position', 'DELETE'),
    ('mobility_published', 'UPDATE'), ('mobility_published', 'DELETE'), ('mobility_published_area', 'UPDATE'),
    ('mobility_published_flow', 'UPDATE'), ('mobility_published_hexagon', 'UPDATE'),
    ('mobility_published_hexagon', 'DELETE'), ('mobility_published_hour', 'UPDATE'),
    ('mobility_published_ride', 'UPDATE'), ('mobility_published_supply', 'UPDATE'),
    ('mobility_published_verdict', 'UPDATE'),
    ('mobility_ride_event', 'UPDATE'), ('mobility_ride_event', 'DELETE'),
    ('mobility_search_considered', 'UPDATE'), ('mobility_search_round', 'UPDATE'),
    ('mobility_surrogate_secret', 'SELECT'), ('mobility_surrogate_secret', 'INSERT'),
    ('mobility_surrogate_secret', 'UPDATE'), ('mobility_surrogate_secret', 'DELETE'), ('mobility_trip', 'DELETE')
) AS walls (name, privilege)
WHERE has_table_privilege('careconnect_app', name, privilege)
