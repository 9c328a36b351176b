-- A trusted extension: whoever owns the database may add it. docker/postgres/bootstrap.sql adds it to new ones.
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public
