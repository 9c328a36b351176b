DROP TRIGGER inbox_counter_at_commit ON mobility_driver;
DROP TRIGGER inbox_counter_begins ON mobility_driver;
DROP TRIGGER inbox_at_commit ON mobility_driver_inbox;
DROP TRIGGER inbox_counter ON mobility_driver;
DROP TRIGGER inbox_guard ON mobility_driver_inbox;
DROP FUNCTION mobility_inbox_at_commit(), mobility_inbox_counter(), mobility_inbox_guard();
