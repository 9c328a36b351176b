SELECT mobility_keep_surrogate_secrets(%(keep_months)s) AS changed
