-- The day or month is taken, unless it was before: no row then. A month waits for all of its days.
INSERT INTO mobility_published (kind, begins, time_zone)
SELECT %(kind)s, %(begins)s, %(zone)s
WHERE %(kind)s <> 'month' OR NOT EXISTS (
    SELECT FROM generate_series(
        %(begins)s::timestamp, %(begins)s::timestamp + interval '1 month - 1 day', interval '1 day') d
    WHERE NOT EXISTS (SELECT FROM mobility_published p WHERE p.kind = 'day' AND p.begins = d::date))
ON CONFLICT (kind, begins) DO NOTHING
RETURNING id
