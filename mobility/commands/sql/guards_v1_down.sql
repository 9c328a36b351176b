DROP TRIGGER command_guard ON mobility_command;
DROP FUNCTION mobility_command_guard();
GRANT UPDATE ON mobility_command TO careconnect_app;
