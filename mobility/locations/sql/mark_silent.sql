-- Free drivers whose newest position is too old leave the index of matching. Rows that are being written are passed over:
-- those drivers are not silent.
UPDATE mobility_driver_location
SET stale = true, dispatchable = false
WHERE driver_id IN (
    SELECT driver_id FROM mobility_driver_location
    WHERE dispatchable AND NOT stationary
        AND least(recorded_at, received_at) <= statement_timestamp() - make_interval(secs => %(stale_after_s)s)
    LIMIT %(at_once)s
    FOR NO KEY UPDATE SKIP LOCKED
)
RETURNING driver_id
