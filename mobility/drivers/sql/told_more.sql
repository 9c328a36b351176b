-- Which of these drivers' inboxes are longer than what their sockets were told.
SELECT d.id AS driver_id, d.inbox_seq
FROM unnest(%(driver_ids)s::bigint[], %(seqs)s::int[]) AS told (driver_id, seq)
JOIN mobility_driver d ON d.id = told.driver_id AND d.inbox_seq > told.seq
