// Drizzle at work: rows, a join, an upsert, a transaction that fails, an error.
import { count, eq } from 'drizzle-orm'
import { db, pool } from './db.mjs'
import { answer } from './given.mjs'
import { authors, books } from './schema.mjs'

const seen = {}
const [ada] = await db.insert(authors).values({ email: 'ada@example.com' }).returning()
await db.insert(books).values([1, 2, 3].map((n) => ({ title: `Volume ${n}`, authorId: ada.id })))
const joined = await db
  .select({ email: authors.email, title: books.title })
  .from(books)
  .innerJoin(authors, eq(books.authorId, authors.id))
  .orderBy(books.title)
  .limit(1)
seen.join = joined
await db
  .insert(authors)
  .values({ email: 'ada@example.com' })
  .onConflictDoUpdate({ target: authors.email, set: { email: 'ada@example.org' } })
await db.update(books).set({ title: 'First' }).where(eq(books.title, 'Volume 1'))
const gone = await db.delete(books).where(eq(books.title, 'Volume 3'))
seen.deleted = gone.rowCount
await db
  .transaction(async (transaction) => {
    await transaction.delete(books)
    throw new Error('oops')
  })
  .catch((error) => {
    if (error.message !== 'oops') throw error
  })
seen.titles = (await db.query.books.findMany({ orderBy: books.title })).map((book) => book.title)
seen.error = await db
  .insert(authors)
  .values({ email: 'ada@example.org' })
  .catch((error) => [error.cause.code, error.cause.constraint])
seen.count = (await db.select({ n: count() }).from(books))[0].n
await pool.end()
answer(seen)
