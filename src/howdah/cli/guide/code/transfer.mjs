// transfer.mjs: money from one account to another
import { pool } from './db.mjs'
import { transaction } from './transaction.mjs'

function transfer(from, to, amount) {
  return transaction(async (client) => {
    const sender = await client.query(
      'UPDATE accounts SET balance = balance - $2 WHERE email = $1 AND balance >= $2 RETURNING id',
      [from, amount],
    )
    const receiver = await client.query(
      'UPDATE accounts SET balance = balance + $2 WHERE email = $1 RETURNING id',
      [to, amount],
    )
    if (!sender.rowCount || !receiver.rowCount) throw new Error('no such account, or too little on it')
    await client.query(
      'INSERT INTO transfers (sender, receiver, amount) VALUES ($1, $2, $3)',
      [sender.rows[0].id, receiver.rows[0].id, amount],
    )
  })
}

const ada = 'ada@example.com'
const grace = 'grace@example.com'
await transfer(ada, grace, '40.00')
await Promise.all([transfer(ada, grace, '5.00'), transfer(grace, ada, '15.00')]) // at once
await transfer(ada, grace, '1000.00').catch((error) => console.log(error.message))

const { rows } = await pool.query('SELECT name, balance FROM accounts ORDER BY email')
console.log(rows) // nothing is left of the transfer that failed
await pool.end()
