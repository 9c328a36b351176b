"""Who a person is: accounts, roles, credentials."""
