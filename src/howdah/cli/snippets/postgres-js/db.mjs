// db.mjs: app {{app}}, database {{database}}, as {{login}}
// npm install postgres; node --env-file=.env FILE
import postgres from 'postgres'

if (!process.env.DATABASE_URL) throw new Error('DATABASE_URL is not set')

export const sql = postgres(process.env.DATABASE_URL, {
  max: 5, // all processes of the app together: at most {{limit}}
  idle_timeout: 60, // seconds; without it, connections stay for as long as the process
})
