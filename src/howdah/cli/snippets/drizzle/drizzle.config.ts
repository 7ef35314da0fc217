// drizzle.config.ts: for `npx drizzle-kit generate` and `npx drizzle-kit migrate`
// drizzle-kit reads .env where the package dotenv is installed; else: set -a; . ./.env; set +a
import { defineConfig } from 'drizzle-kit'

export default defineConfig({
  dialect: 'postgresql',
  schema: './schema.mjs',
  out: './drizzle',
  dbCredentials: { url: process.env.DATABASE_URL! },
})
