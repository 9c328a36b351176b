-- No guard is switched off or missing: triggers enabled, constraints valid, the application may not delete or rewrite.
SELECT 'trigger ' || tgname || ' is disabled' AS wall FROM pg_trigger
WHERE tgrelid::regclass::text LIKE 'mobility\_%%' AND tgenabled = 'D'
UNION ALL
SELECT 'missing: ' || name FROM unnest(ARRAY[
    'booking_guard', 'booking_at_commit', 'ride_event_guard', 'ride_event_at_commit', 'driver_at_commit',
    'driver_user_is_fixed', 'location_newest_wins', 'location_from_driver', 'driver_to_location', 'location_keeps_its_driver', 'booking_binding',
    'booking_offers_at_commit', 'offer_guard', 'offer_at_commit', 'driver_offers_at_commit', 'inbox_guard',
    'inbox_counter', 'inbox_at_commit', 'inbox_counter_at_commit']) name
WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = name)
UNION ALL
SELECT 'missing: ' || name FROM unnest(ARRAY[
    'booking_one_per_passenger_and_ride_id', 'booking_one_open_per_guest_ride_id', 'booking_one_live_per_passenger',
    'booking_one_live_per_driver', 'mobility_ride_event_pkey', 'offer_one_accepted_per_ride',
    'offer_one_live_per_driver', 'mobility_driver_inbox_pkey']) name
WHERE NOT EXISTS (
    SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relname = name AND i.indisunique AND i.indisvalid)
UNION ALL
SELECT 'constraint ' || conname || ' is not valid' FROM pg_constraint
WHERE conrelid::regclass::text LIKE 'mobility\_%%' AND NOT convalidated
UNION ALL
SELECT 'careconnect_app may ' || privilege || ' ' || name
FROM (VALUES ('mobility_booking', 'DELETE'), ('mobility_booking', 'TRUNCATE'), ('mobility_driver', 'DELETE'),
    ('mobility_ride_event', 'UPDATE'), ('mobility_ride_event', 'DELETE'), ('mobility_offer', 'DELETE'),
    ('mobility_driver_inbox', 'UPDATE'), ('mobility_driver_inbox', 'DELETE')) AS walls (name, privilege)
WHERE has_table_privilege('careconnect_app', name, privilege)
