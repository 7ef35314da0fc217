// The story of the shop, told with pg.
import pg from 'pg'
import { answer, given } from './given.mjs'

const { schema, ada, grace, products, orders, upsert, violations, indexes } = given
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 4 })
const story = {}
const columns = (rows) => rows[0].map((_, i) => rows.map((row) => row[i]))
const transaction = async (work) => {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    const result = await work(client)
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  } finally {
    client.release()
  }
}

await pool.query(schema)

const inserted = await pool.query('INSERT INTO customers (email, name) VALUES ($1, $2) RETURNING *', ada)
const [customer] = inserted.rows
story.insert = {
  name: customer.name,
  uuid_version: Number(customer.id[14]),
  made_just_now: customer.created_at instanceof Date && Math.abs(Date.now() - customer.created_at) < 60_000,
  not_deleted: customer.deleted_at === null,
}

const bulk = await pool.query(
  `INSERT INTO products (sku, title, price, stock)
   SELECT * FROM unnest($1::text[], $2::text[], $3::numeric[], $4::integer[])`,
  columns(products),
)
story.bulk = bulk.rowCount

const page = await pool.query('SELECT sku FROM products WHERE price > $1 ORDER BY price DESC LIMIT $2 OFFSET $3', [
  '190',
  3,
  2,
])
story.page = page.rows.map((row) => row.sku)

await pool.query('INSERT INTO customers (email, name) VALUES ($1, $2)', grace)
for (const [email, sku, quantity] of orders) {
  await pool.query(
    'INSERT INTO orders (customer_id, sku, quantity) SELECT id, $1, $2 FROM customers WHERE email = $3',
    [sku, quantity, email],
  )
}
const joined = await pool.query({
  text: `SELECT c.name, o.sku, p.price * o.quantity AS total
         FROM orders AS o JOIN customers AS c ON c.id = o.customer_id JOIN products AS p USING (sku)
         ORDER BY c.name, o.sku`,
  rowMode: 'array',
})
story.join = joined.rows

// bigint and numeric come as strings: they may be more than a number of JavaScript holds.
const counted = await pool.query('SELECT count(*) FROM products')
story.count = typeof counted.rows[0].count === 'string' && Number(counted.rows[0].count)

const updated = await pool.query('UPDATE products SET price = price * $1::numeric WHERE sku = $2 RETURNING price', [
  '1.1',
  'P-010',
])
story.update = { changed: updated.rowCount, price: updated.rows[0].price }

const upserted = await pool.query({
  text: `INSERT INTO products (sku, title, price, stock)
         SELECT * FROM unnest($1::text[], $2::text[], $3::numeric[], $4::integer[])
         ON CONFLICT (sku) DO UPDATE SET price = EXCLUDED.price, stock = products.stock + EXCLUDED.stock
         RETURNING sku, stock, price, xmax = 0`,
  values: columns(upsert),
  rowMode: 'array',
})
story.upsert = upserted.rows

await pool.query('UPDATE customers SET deleted_at = now() WHERE email = $1', [grace[0]])
const active = await pool.query('SELECT email FROM customers WHERE deleted_at IS NULL')
const all = await pool.query('SELECT count(*)::int AS n FROM customers')
story.soft_delete = { active: active.rows.map((row) => row.email), all: all.rows[0].n }

const gone = await pool.query('DELETE FROM orders WHERE quantity = $1', [3])
const left = await pool.query('SELECT count(*)::int AS n FROM orders')
story.delete = { gone: gone.rowCount, left: left.rows[0].n }

const seen = async () => (await pool.query('SELECT count(*)::int AS n FROM customers')).rows[0].n
const before = await transaction(async (client) => {
  await client.query(`INSERT INTO customers (email, name) VALUES ('linus@example.com', 'Linus')`)
  return seen() // by another connection of the pool
})
story.commit = [before, await seen()]

await transaction(async (client) => {
  await client.query(`INSERT INTO customers (email, name) VALUES ('nobody@example.com', 'Nobody')`)
  throw new Error('oops')
}).catch((error) => {
  if (error.message !== 'oops') throw error
})
story.rollback = await seen()

story.errors = {}
for (const [name, statement] of Object.entries(violations)) {
  try {
    await pool.query(statement)
  } catch (error) {
    story.errors[name] = [error.code, error.constraint ?? null]
  }
}

story.indexes = (await pool.query({ text: indexes, rowMode: 'array' })).rows.flat()

await pool.end()
answer(story)
