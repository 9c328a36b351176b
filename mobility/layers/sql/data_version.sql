SELECT mobility_data_version(%(tables)s) AS version
