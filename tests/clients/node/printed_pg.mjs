// The printed pool of pg: a transaction, an error, and a connection that breaks while it is idle.
import { once } from 'node:events'
import { pool } from './db.mjs'
import { answer } from './given.mjs'

await pool.query('CREATE TABLE made_by_pg (n int CHECK (n > 0))')
const client = await pool.connect()
await client.query('BEGIN')
await client.query('INSERT INTO made_by_pg VALUES (1)')
const { code } = await client.query('INSERT INTO made_by_pg VALUES (-1)').catch((error) => error)
await client.query('ROLLBACK')
const { rows } = await client.query('SELECT count(*)::int AS n, current_user AS role FROM made_by_pg')
const { rows: me } = await client.query('SELECT pg_backend_pid() AS pid')
client.release()
// Ended from elsewhere while it lies in the pool: the listener keeps the process alive, and the next query works.
const lost = []
console.error = (...words) => lost.push(words[0])
const other = await pool.connect() // the idle one
await other.query('SET ROLE NONE')
const broken = once(pool, 'error')
const second = await pool.connect()
await second.query('SET ROLE NONE')
other.release()
await second.query('SELECT pg_terminate_backend($1)', [me[0].pid])
await broken
await second.query('RESET ROLE')
second.release()
const { rows: after } = await pool.query('SELECT 1 AS one')
await pool.end()
answer({ code, ...rows[0], lost, after: after[0].one })
