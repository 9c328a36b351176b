WITH gone AS (SELECT id FROM mobility_place WHERE source = %(source)s LIMIT %(at_once)s)
DELETE FROM mobility_place p USING gone WHERE p.id = gone.id
RETURNING 1 AS forgotten
