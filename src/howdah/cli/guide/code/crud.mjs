// crud.mjs: create, read, update, delete
import { pool } from './db.mjs'

// Create. Where the e-mail is there already, the row is changed instead (upsert).
const created = await pool.query(
  `INSERT INTO accounts (email, name, balance) VALUES ($1, $2, $3)
   ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name, balance = EXCLUDED.balance
   RETURNING id, created_at`,
  ['ada@example.com', "Ada O'Hara", '100.00'],
)
const { id, created_at } = created.rows[0]
console.log('created', id, created_at.toISOString())

// Many rows with one statement: an array for each column.
const bulk = await pool.query(
  `INSERT INTO accounts (email, name) SELECT * FROM unnest($1::text[], $2::text[])
   ON CONFLICT (email) DO NOTHING`,
  [['grace@example.com', 'linus@example.com'], ['Grace', 'Linus']],
)
console.log('new', bulk.rowCount)

// Read one. numeric and bigint come as strings, so that no digit is lost.
const one = await pool.query('SELECT name, balance FROM accounts WHERE id = $1', [id])
console.log(one.rows[0])

// Read a page: what comes after the last row of the page before. OFFSET reads all that it skips.
const page = await pool.query(
  'SELECT email, name FROM accounts WHERE email > $1 ORDER BY email LIMIT $2',
  ['', 20],
)
console.log(page.rows)

// A list is one value too.
const some = await pool.query('SELECT name FROM accounts WHERE email = ANY ($1) ORDER BY email', [
  ['ada@example.com', 'grace@example.com'],
])
console.log(some.rows)

// Update and delete: rowCount says how many rows it was, 0 where there was none.
const updated = await pool.query('UPDATE accounts SET name = $1 WHERE id = $2', ['Ada', id])
const deleted = await pool.query('DELETE FROM accounts WHERE email = $1', ['linus@example.com'])
console.log('updated', updated.rowCount, 'deleted', deleted.rowCount)

await pool.end()
