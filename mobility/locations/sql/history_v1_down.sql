DROP TABLE mobility_position;
DROP FUNCTION mobility_make_position_days(date, date), mobility_drop_position_days(date);
