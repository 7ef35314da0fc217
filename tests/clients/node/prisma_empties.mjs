// Prisma Client counts the books and deletes them, where it may.
import { prisma } from './db.mjs'
import { answer } from './given.mjs'

const books = await prisma.book.count()
const outcome = await prisma.book.deleteMany().catch((error) => error.meta.driverAdapterError.cause.originalCode)
await prisma.$disconnect()
answer({ books, outcome })
