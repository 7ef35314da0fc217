// Run statements one by one on a fresh client each, and tell what came of them: rows, or the error's code and text.
import pg from 'pg'
import { answer, given } from './given.mjs'

const run = async ({ url, before = [], statement }) => {
  const client = new pg.Client({ connectionString: url ?? process.env.DATABASE_URL })
  client.on('error', () => {}) // the same error reaches the query
  try {
    await client.connect()
    for (const first of before) await client.query(first).catch(() => {})
    const { rows } = await client.query({ text: statement, rowMode: 'array' })
    return { rows }
  } catch (error) {
    return { code: error.code, message: error.message }
  } finally {
    await client.end().catch(() => {})
  }
}

const outcomes = []
for (const attempt of given) outcomes.push(await run(attempt))
answer(outcomes)
