-- A driver's inbox counts 1, 2, 3 ... up to the driver's inbox_seq.
SELECT d.id AS driver_id, d.inbox_seq, count(i.seq) AS rows, max(i.seq) AS newest FROM mobility_driver d
LEFT JOIN mobility_driver_inbox i ON i.driver_id = d.id
GROUP BY d.id, d.inbox_seq
HAVING count(i.seq) <> d.inbox_seq OR coalesce(max(i.seq), 0) <> d.inbox_seq
