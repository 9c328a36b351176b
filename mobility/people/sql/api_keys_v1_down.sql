DROP TRIGGER api_key_guard ON mobility_api_key;
DROP FUNCTION mobility_api_key_guard();
GRANT UPDATE, DELETE ON mobility_api_key TO careconnect_app;
