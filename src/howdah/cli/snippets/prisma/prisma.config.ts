// prisma.config.ts: for Prisma 7. It doesn't read .env by itself: set -a; . ./.env; set +a
import { defineConfig, env } from 'prisma/config'

export default defineConfig({
  schema: 'schema.prisma',
  datasource: {
    url: env('DATABASE_URL'),
    // For `prisma migrate dev` alone, which wants a second, empty database, and {{login}} can't make one.
    // To get it: howdah create {{app}} --shadow-db
    shadowDatabaseUrl: process.env.SHADOW_DATABASE_URL,
  },
})
