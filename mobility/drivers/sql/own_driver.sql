-- The driver of a user, if a path names them: by number, or by the phone's digits.
SELECT d.id, d.user_id FROM mobility_driver d
WHERE d.user_id = %(user_id)s AND %(named)s IN (d.id::text, ltrim(d.phone, '+'))
