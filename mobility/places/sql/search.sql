-- Places of a text that may be misspelt or only begun: pg_trgm's word similarity, 0.6 at least, then what is inside the
-- box, what is important and what is near.
SELECT name, kind, label, source, importance, ST_Y(position) AS latitude, ST_X(position) AS longitude
FROM mobility_place
WHERE %(text)s::text <%% folded
ORDER BY
    word_similarity(%(text)s::text, folded)
    + 0.2 * similarity(%(text)s::text, folded)
    + CASE WHEN starts_with(folded, %(text)s::text) THEN 0.1 ELSE 0 END
    + 0.3 * importance
    + CASE WHEN %(west)s::float8 IS NULL THEN 0
        WHEN ST_Y(position) BETWEEN %(south)s::float8 AND %(north)s::float8
            AND CASE WHEN %(west)s::float8 <= %(east)s::float8
                THEN ST_X(position) BETWEEN %(west)s::float8 AND %(east)s::float8
                ELSE ST_X(position) >= %(west)s::float8 OR ST_X(position) <= %(east)s::float8 END
        THEN 1 ELSE 0 END
    + CASE WHEN %(latitude)s::float8 IS NULL THEN 0
        ELSE 0.3 / (1 + ST_DistanceSphere(
            position, ST_SetSRID(ST_MakePoint(%(longitude)s::float8, %(latitude)s::float8), 4326)) / 10000) END
    DESC, label, id
LIMIT %(limit)s
