coalesce(
        nullif(concat_ws(' ', nullif(u.first_name, ''), nullif(u.last_name, '')), ''),
        CASE WHEN u.username = u.phone THEN 'user ' || u.id ELSE u.username END)
