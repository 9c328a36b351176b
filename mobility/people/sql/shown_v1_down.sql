DROP FUNCTION mobility_masked_phone(text);
