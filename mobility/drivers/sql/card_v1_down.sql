DROP TRIGGER user_name_to_driver ON mobility_user;
DROP TRIGGER driver_name_stays_users ON mobility_driver;
DROP TRIGGER driver_name_of_user ON mobility_driver;
DROP FUNCTION mobility_user_to_driver();
DROP FUNCTION mobility_driver_shown_name();
ALTER TABLE mobility_driver DROP COLUMN card, DROP COLUMN personal_card, DROP COLUMN shown_name;
DROP FUNCTION mobility_json_text(text);
