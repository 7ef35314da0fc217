// db.mjs: app {{app}}, database {{database}}, as {{login}}
// npm install drizzle-orm pg; npm install -D drizzle-kit; node --env-file=.env FILE
import { drizzle } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import * as schema from './schema.mjs' // your tables

if (!process.env.DATABASE_URL) throw new Error('DATABASE_URL is not set')

export const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  max: 5, // all processes of the app together: at most {{limit}}
})
pool.on('error', (error) => console.error('idle connection lost:', error.message))

export const db = drizzle(pool, { schema })
