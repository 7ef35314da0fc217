// What a developer writes beside the printed files: the tables of a small library, for Drizzle.
import { bigint, pgSchema, pgTable, text, uuid } from 'drizzle-orm/pg-core'

export const authors = pgTable('authors', {
  id: uuid().primaryKey().defaultRandom(),
  email: text().notNull().unique(),
})

export const archive = pgSchema('archive')

export const books = archive.table('books', {
  id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  title: text().notNull(),
  authorId: uuid('author_id')
    .notNull()
    .references(() => authors.id),
})
