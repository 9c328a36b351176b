GRANT SELECT, INSERT, UPDATE, DELETE ON mobility_offer, mobility_driver_presence, mobility_driver_inbox,
    mobility_search_round, mobility_search_considered TO careconnect_app;
