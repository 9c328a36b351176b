    -- Of worth (area_id, what, person, value): in the middle every person weighs as much as any other, however often they
    -- rode; nobody's value is told of fewer than min_people.
    SELECT area_id, what, CASE WHEN max(people) > %(min_people)s - 0.5 THEN min(value) FILTER (
            WHERE below > people * 0.5 - 1e-6) END AS median,
        CASE WHEN max(people) > 10 * %(min_people)s - 0.5 THEN min(value) FILTER (
            WHERE below > people * 0.9 - 1e-6) END AS p90
    FROM (
        SELECT area_id, what, value, sum(weight) OVER (PARTITION BY area_id, what ORDER BY value) AS below,
            sum(weight) OVER (PARTITION BY area_id, what) AS people
        FROM (
            SELECT area_id, what, value::float8 AS value,
                1.0::float8 / count(*) OVER (PARTITION BY area_id, what, person) AS weight
            FROM worth WHERE value IS NOT NULL
        ) weighed
    ) ranked
    GROUP BY area_id, what
