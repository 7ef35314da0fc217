// Prisma Client at work: nested rows, a relation, an upsert, a transaction that fails, an error, raw SQL.
import { prisma } from './db.mjs'
import { answer } from './given.mjs'

const seen = {}
const ada = await prisma.author.create({
  data: { email: 'ada@example.com', books: { create: [1, 2, 3].map((n) => ({ title: `Volume ${n}`, price: '1.50' })) } },
  include: { books: { orderBy: { title: 'asc' } } },
})
seen.created = [ada.email, typeof ada.id, ada.books[0].title, ada.books[0].price.toFixed(2), typeof ada.books[0].id]
await prisma.author.upsert({
  where: { email: 'ada@example.com' },
  update: { email: 'ada@example.org' },
  create: { email: 'never@example.com' },
})
seen.updated = (await prisma.book.updateMany({ where: { title: 'Volume 1' }, data: { price: { increment: 2 } } })).count
seen.deleted = (await prisma.book.deleteMany({ where: { title: 'Volume 3' } })).count
await prisma
  .$transaction(async (transaction) => {
    await transaction.book.deleteMany()
    throw new Error('oops')
  })
  .catch((error) => {
    if (error.message !== 'oops') throw error
  })
const sum = await prisma.book.aggregate({ _count: true, _sum: { price: true } })
seen.sum = [sum._count, sum._sum.price.toFixed(2)]
seen.error = await prisma.author.create({ data: { email: 'ada@example.org' } }).catch((error) => error.code)
seen.role = (await prisma.$queryRaw`SELECT current_user::text AS role`)[0].role
await prisma.$disconnect()
answer(seen)
