    -- Of member (whole, part, person): the parts of a whole that can be told. A part is told if it is of min_people. What
    -- is left of the whole could be had by subtraction: where that is of somebody, but of fewer, the smallest of the others
    -- is kept back as well, and is enough of a crowd.
    SELECT whole, part, rides FROM (
        SELECT whole, part, rides, left_people, people,
            row_number() OVER (PARTITION BY whole ORDER BY people < %(min_people)s, people, part) AS place
        FROM (
            SELECT whole, part, count(*) AS rides, count(DISTINCT person) AS people FROM member GROUP BY whole, part
        ) parts
        LEFT JOIN (
            SELECT whole, count(DISTINCT person) AS left_people FROM member
            JOIN (
                SELECT whole, part FROM member GROUP BY whole, part HAVING count(DISTINCT person) < %(min_people)s
            ) small USING (whole, part)
            GROUP BY whole
        ) lefts USING (whole)
    ) ranked
    WHERE people >= %(min_people)s AND (place > 1 OR left_people IS NULL OR left_people >= %(min_rest)s)
