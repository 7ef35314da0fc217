// postgres.js with URLs of other shapes: what each comes to.
import postgres from 'postgres'
import { answer, given } from './given.mjs'

const outcomes = {}
for (const tail of given) {
  const sql = postgres(process.env.DATABASE_URL + tail, { max: 1, connect_timeout: 10 })
  outcomes[tail] = await sql`SELECT current_user AS role`.then(
    ([{ role }]) => role,
    (error) => error.code,
  )
  await sql.end({ timeout: 1 })
}
answer(outcomes)
