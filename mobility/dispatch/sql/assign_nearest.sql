-- Bind the nearest free driver to a pending booking, in one statement: driver busy, booking confirmed, log row.
-- A driver whose row another transaction holds is being bound there and is passed over (SKIP LOCKED); one whose row
-- changed since this statement's snapshot is checked again under the lock. The caller already holds the booking's row
-- (lock order: ride, then driver). No driver comes back when none is free, or when the order is not certain yet.
WITH {{candidates}}, picked AS (
    SELECT d.id, d.user_id, d.phone, d.vehicle_type, d.vehicle_registration, d.rating, c.distance_m, c.position
    FROM candidates c JOIN mobility_driver d ON d.id = c.driver_id
    WHERE d.status = 'available' AND d.verified AND c.distance_m <= (SELECT certain_m FROM reach)
    ORDER BY c.distance_m, c.driver_id
    LIMIT 1
    FOR NO KEY UPDATE OF d SKIP LOCKED
), {{bind_picked}}
