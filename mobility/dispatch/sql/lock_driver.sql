-- A driver's row, locked; after the ride's, never before.
SELECT status FROM mobility_driver WHERE id = %(driver_id)s FOR NO KEY UPDATE
