// Forty pieces of work at once on a pool of four, and one that fails among them.
import pg from 'pg'
import { answer } from './given.mjs'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 4 })
await pool.query('CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL)')
await pool.query('INSERT INTO counter VALUES (1, 0)')
const work = async () => {
  const client = await pool.connect()
  try {
    await client.query('UPDATE counter SET n = n + 1 WHERE id = 1')
    const { rows } = await client.query('SELECT pg_backend_pid() AS pid, pg_sleep(0.005)')
    return rows[0].pid
  } finally {
    client.release()
  }
}
const tasks = Array.from({ length: 40 }, work)
const failing = pool.query('SELECT 1/0').catch((error) => error.code)
const pids = new Set(await Promise.all(tasks))
const { rows } = await pool.query('SELECT n FROM counter')
const state = { n: rows[0].n, backends: pids.size, total: pool.totalCount, waiting: pool.waitingCount }
const error = await failing
await pool.end()
answer({ ...state, error })
