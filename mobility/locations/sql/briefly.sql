-- In this transaction a lock is waited for no longer than other transactions take that do not stand still.
SELECT set_config('lock_timeout', '50ms', true)
