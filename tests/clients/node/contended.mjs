// The guide's transaction under contention: each reads a number and writes it back, one higher, many at the same time.
import { answer, given } from './given.mjs'
import { pool } from './db.mjs'
import { transaction } from './transaction.mjs'

let tries = 0
await pool.query('CREATE TABLE counted_by_node (n int)')
await pool.query('INSERT INTO counted_by_node VALUES (0)')
const count = async (client) => {
  tries++
  const { rows } = await client.query('SELECT n FROM counted_by_node')
  await client.query('UPDATE counted_by_node SET n = $1', [rows[0].n + 1])
}
await Promise.all(Array.from({ length: given }, () => transaction(count, 50)))
const { rows } = await pool.query('SELECT n FROM counted_by_node')

// One that always fails is tried that often and no more; another error isn't tried again.
const failures = []
for (const code of ['40001', '23505']) {
  let times = 0
  const fail = async (client) => {
    times++
    await client.query('UPDATE counted_by_node SET n = -1')
    await client.query(`DO $$ BEGIN RAISE 'no' USING ERRCODE = '${code}'; END $$`)
  }
  const error = await transaction(fail, 3).catch((error) => error)
  failures.push([error.code, times])
}
const { rows: after } = await pool.query('SELECT n FROM counted_by_node')

// A connection that breaks in the middle doesn't come back out of the pool.
const broken = await transaction(async (client) => {
  await client.query('SET ROLE NONE')
  await client.query('SELECT pg_terminate_backend(pg_backend_pid())')
}).catch((error) => error.code)
const { rows: still } = await pool.query('SELECT current_user AS role')
await pool.end()
answer({ n: rows[0].n, again: tries > given, failures, after: after[0].n, broken, role: still[0].role })
