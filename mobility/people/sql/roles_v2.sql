-- Offers and what drivers were told are history; explanations may be thrown away when they are old, never rewritten.
REVOKE DELETE ON mobility_offer, mobility_driver_presence FROM careconnect_app;
REVOKE UPDATE, DELETE ON mobility_driver_inbox FROM careconnect_app;
REVOKE UPDATE ON mobility_search_round, mobility_search_considered FROM careconnect_app;
