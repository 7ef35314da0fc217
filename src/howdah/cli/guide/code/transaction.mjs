// transaction.mjs: all of it or nothing, and again when another transaction was in the way
import { setTimeout as sleep } from 'node:timers/promises'
import { pool } from './db.mjs'

const AGAIN = ['40001', '40P01'] // serialization_failure, deadlock_detected

// `work` gets the transaction's client. It may run more than once: leave e-mails and the like
// for afterwards. Don't catch a failed statement in it: COMMIT would roll back then, and say nothing.
export async function transaction(work, attempts = 8) {
  for (let attempt = 1; ; attempt++) {
    const client = await pool.connect()
    let broken
    const lost = (error) => { broken = error }
    client.on('error', lost) // without a listener, a connection that breaks ends the process
    try {
      await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE')
      const result = await work(client)
      await client.query('COMMIT')
      return result
    } catch (error) {
      await client.query('ROLLBACK').catch(lost)
      if (!AGAIN.includes(error.code) || attempt >= attempts) throw error
    } finally {
      client.off('error', lost)
      client.release(broken) // a broken connection doesn't go back into the pool
    }
    await sleep(Math.random() * 10 * 2 ** attempt)
  }
}
