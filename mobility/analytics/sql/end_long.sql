SELECT login, ended, lasted_s FROM mobility_end_long_statements(%(longest_s)s)
