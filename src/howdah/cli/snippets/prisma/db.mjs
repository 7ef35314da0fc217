// db.mjs: app {{app}}, database {{database}}, as {{login}}
// npm install @prisma/client @prisma/adapter-pg; npm install -D prisma; npx prisma generate
import { PrismaPg } from '@prisma/adapter-pg'
import { PrismaClient } from '@prisma/client'

if (!process.env.DATABASE_URL) throw new Error('DATABASE_URL is not set')

export const prisma = new PrismaClient({
  adapter: new PrismaPg({
    connectionString: process.env.DATABASE_URL,
    max: 5, // all processes of the app together: at most {{limit}}
  }),
})
