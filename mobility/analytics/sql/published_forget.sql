-- Throw away the numbers of whole months that were kept long enough. That they were published stays known, so that they are
-- not again.
WITH old AS MATERIALIZED (
    SELECT date_trunc('month', current_date - make_interval(days => %(keep_days)s))::date AS day
), hours AS (
    DELETE FROM mobility_published_hour USING old WHERE period < old.day RETURNING 1
), supply AS (
    DELETE FROM mobility_published_supply USING old WHERE period < old.day RETURNING 1
), areas AS (
    DELETE FROM mobility_published_area USING old WHERE period < old.day RETURNING 1
), flows AS (
    DELETE FROM mobility_published_flow USING old WHERE period < old.day RETURNING 1
), verdicts AS (
    DELETE FROM mobility_published_verdict USING old WHERE period < old.day RETURNING 1
)
SELECT (SELECT count(*) FROM hours) + (SELECT count(*) FROM supply) + (SELECT count(*) FROM areas)
    + (SELECT count(*) FROM flows) + (SELECT count(*) FROM verdicts) AS numbers
