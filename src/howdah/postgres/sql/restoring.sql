-- What is asked of a database on a copy before it is dumped for another app.

-- name: unlogged
SELECT n.nspname || '.' || c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relpersistence = 'u' AND c.relkind IN ('r', 'p')
 ORDER BY 1;

-- name: tables
-- Tables with rows of their own or of partitions, by schema and name.
SELECT n.nspname, c.relname, c.oid, c.relispartition
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
 ORDER BY 1, 2;

-- name: partitions
-- These tables and all partitions below them.
WITH RECURSIVE tree AS (
    SELECT unnest(%(tables)s::oid[]) AS oid
     UNION
    SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid)
SELECT oid FROM tree;

-- name: foreign_keys
-- Those of these tables that point to others.
SELECT n.nspname, c.relname, k.conname, r.relname
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class r ON r.oid = k.confrelid
 WHERE k.contype = 'f' AND k.conrelid = ANY (%(tables)s::oid[]) AND NOT k.confrelid = ANY (%(tables)s::oid[])
 ORDER BY 1, 2, 3;
