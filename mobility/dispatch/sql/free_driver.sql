-- The driver of a ride that has ended is free again; by a ride that was driven they have one more behind them.
UPDATE mobility_driver SET status = 'available', total_rides = total_rides + %(rides)s
WHERE id = %(driver_id)s AND status = 'busy'
