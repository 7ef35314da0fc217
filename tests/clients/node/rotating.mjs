// Ten clients, each with a pool, that take a new URL from a file as they find one: no query may fail.
import fs from 'node:fs'
import pg from 'pg'

const [file, stop, clients] = process.argv.slice(2)
const url = () => fs.readFileSync(file, 'utf8').trim().slice('DATABASE_URL='.length)
const totals = { done: 0, failed: [], urls: 0 }

async function client (name) {
  let current = url()
  let pool = new pg.Pool({ connectionString: current, max: 1 })
  const draining = []
  while (!fs.existsSync(stop)) {
    const now = url()
    if (now !== current) {
      // The old one is left to what it is at, and closes then.
      draining.push(pool.end())
      pool = new pg.Pool({ connectionString: current = now, max: 1 })
      totals.urls += 1
    }
    try {
      const session = await pool.connect()
      try {
        await session.query('BEGIN')
        await session.query('INSERT INTO ledger (client) VALUES ($1)', [name])
        await session.query('UPDATE totals SET n = n + 1 WHERE client = $1', [name])
        await session.query('COMMIT')
        totals.done += 1
      } finally {
        session.release()
      }
    } catch (error) {
      totals.failed.push(error.message)
    }
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  await Promise.all([...draining, pool.end()])
}

await Promise.all(Array.from({ length: Number(clients) }, (_, n) => client(`node ${n}`)))
console.log(JSON.stringify(totals))
