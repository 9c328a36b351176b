-- Remove the areas with other names than these.
DELETE FROM mobility_service_area WHERE name <> ALL (%(names)s::text[]) RETURNING id
