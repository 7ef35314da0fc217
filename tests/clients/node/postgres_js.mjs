// The story of the shop, told with postgres.js and the printed pool.
import { sql } from './db.mjs'
import { answer, given } from './given.mjs'

const { schema, ada, grace, products, orders, upsert, violations, indexes } = given
const story = {}
const product = ([sku, title, price, stock]) => ({ sku, title, price, stock })

await sql.unsafe(schema)

const [customer] = await sql`INSERT INTO customers ${sql({ email: ada[0], name: ada[1] })} RETURNING *`
story.insert = {
  name: customer.name,
  uuid_version: Number(customer.id[14]),
  made_just_now: customer.created_at instanceof Date && Math.abs(Date.now() - customer.created_at) < 60_000,
  not_deleted: customer.deleted_at === null,
}

story.bulk = (await sql`INSERT INTO products ${sql(products.map(product))}`).count

const page = await sql`SELECT sku FROM products WHERE price > ${'190'} ORDER BY price DESC LIMIT ${3} OFFSET ${2}`
story.page = page.map((row) => row.sku)

await sql`INSERT INTO customers (email, name) VALUES (${grace[0]}, ${grace[1]})`
for (const [email, sku, quantity] of orders) {
  await sql`INSERT INTO orders (customer_id, sku, quantity)
            SELECT id, ${sku}, ${quantity} FROM customers WHERE email = ${email}`
}
story.join = await sql`
  SELECT c.name, o.sku, p.price * o.quantity AS total
  FROM orders AS o JOIN customers AS c ON c.id = o.customer_id JOIN products AS p USING (sku)
  ORDER BY c.name, o.sku`.values()

// bigint and numeric come as strings, as with pg.
const [{ count }] = await sql`SELECT count(*) FROM products`
story.count = typeof count === 'string' && Number(count)

const updated = await sql`UPDATE products SET price = price * ${'1.1'}::numeric WHERE sku = 'P-010' RETURNING price`
story.update = { changed: updated.count, price: updated[0].price }

story.upsert = await sql`
  INSERT INTO products ${sql(upsert.map(product))}
  ON CONFLICT (sku) DO UPDATE SET price = EXCLUDED.price, stock = products.stock + EXCLUDED.stock
  RETURNING sku, stock, price, xmax = 0`.values()

const customers = async () => (await sql`SELECT count(*)::int AS n FROM customers`)[0].n
await sql`UPDATE customers SET deleted_at = now() WHERE email = ${grace[0]}`
const active = await sql`SELECT email FROM customers WHERE deleted_at IS NULL`
story.soft_delete = { active: active.map((row) => row.email), all: await customers() }

const gone = await sql`DELETE FROM orders WHERE quantity = ${3}`
story.delete = { gone: gone.count, left: (await sql`SELECT count(*)::int AS n FROM orders`)[0].n }

const before = await sql.begin(async (transaction) => {
  await transaction`INSERT INTO customers (email, name) VALUES ('linus@example.com', 'Linus')`
  return customers() // by another connection of the pool
})
story.commit = [before, await customers()]

await sql
  .begin(async (transaction) => {
    await transaction`INSERT INTO customers (email, name) VALUES ('nobody@example.com', 'Nobody')`
    throw new Error('oops')
  })
  .catch((error) => {
    if (error.message !== 'oops') throw error
  })
story.rollback = await customers()

story.errors = {}
for (const [name, statement] of Object.entries(violations)) {
  await sql.unsafe(statement).catch((error) => {
    story.errors[name] = [error.code, error.constraint_name ?? null]
  })
}

story.indexes = (await sql.unsafe(indexes).values()).flat()

await sql.end()
answer(story)
