-- Another text whenever what demand_layer.sql gives may be another.
SELECT concat_ws('-', extract(epoch FROM max(changed_at)), count(*)) AS version FROM mobility_demand_made
