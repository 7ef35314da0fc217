-- By what it can be told that nothing changed since the last look, for all databases of a server at once.

-- name: live
-- Databases that somebody is in. An open session may keep what it changed from the statistics for 10 s; one that ends
-- reports first (15 and newer). Nothing is known of the kind of others' sessions where the admin is no superuser.
SELECT DISTINCT datid::bigint
  FROM pg_stat_activity
 WHERE datid <> 0 AND pid <> pg_backend_pid() AND backend_type IS DISTINCT FROM 'autovacuum worker'

-- name: changes
-- Rows written by database: every change of a catalog is one. A crash or pg_stat_reset() begins anew.
SELECT datid::bigint, tup_inserted + tup_updated + tup_deleted, stats_reset
  FROM pg_stat_database
 WHERE datid <> 0

-- name: server
-- What all databases share, in one figure: whatever of it changes, the figure does.
SELECT pg_postmaster_start_time(),
       current_setting('track_counts')::bool,
       md5(concat_ws('|',
           (SELECT md5(string_agg(r::text, E'\n' ORDER BY r.oid)) FROM pg_roles AS r),
           (SELECT md5(string_agg(m::text, E'\n' ORDER BY m.roleid, m.member, m.grantor)) FROM pg_auth_members AS m),
           (SELECT md5(string_agg(s::text, E'\n' ORDER BY s.setdatabase, s.setrole)) FROM pg_db_role_setting AS s),
           (SELECT md5(string_agg(d::text, E'\n' ORDER BY d.oid))
              FROM (SELECT oid, datname, datdba, datistemplate, datallowconn, datconnlimit, datacl
                      FROM pg_database) AS d)))
