// db.mjs: app {{app}}, database {{database}}, as {{login}}
// npm install pg; node --env-file=.env FILE
import pg from 'pg'

if (!process.env.DATABASE_URL) throw new Error('DATABASE_URL is not set')

export const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  max: 5, // all processes of the app together: at most {{limit}}
})

// A connection that breaks while it is idle. Without a listener, this ends the process.
pool.on('error', (error) => console.error('idle connection lost:', error.message))
