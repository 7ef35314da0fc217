// What `prisma migrate dev` does, twice, then `migrate status` and `db pull`: by Prisma's own schema engine, here as
// WebAssembly over pg, on the URLs of the printed prisma.config.ts.
import { readFileSync } from 'node:fs'
import { PrismaPg } from '@prisma/adapter-pg'
import { loadConfigFromFile } from '@prisma/config'
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from '@prisma/driver-adapter-utils'
import * as glue from '@prisma/schema-engine-wasm/schema_engine_bg'
import { answer, given } from './given.mjs'

const CHAR = 18 // the type "char" of the catalogs, which the engine asks for and the adapter doesn't know
const TEXT = 25

globalThis.PRISMA_WASM_PANIC_REGISTRY = { set_message: (message) => console.error(message) }
const program = readFileSync('node_modules/@prisma/schema-engine-wasm/schema_engine_bg.wasm')
const { instance } = await WebAssembly.instantiate(program, { './schema_engine_bg.js': glue })
glue.__wbg_set_wasm(instance.exports)
instance.exports.__wbindgen_start()

/** An adapter that can read the catalogs. */
async function reading(adapter) {
  const { performIO, queryRaw } = Object.getPrototypeOf(adapter)
  adapter.queryRaw = async (query) => {
    let chars
    const ask = async (asked) => {
      const { fields, rows } = await performIO.call(adapter, asked)
      chars = fields.map((field) => field.dataTypeID === CHAR)
      return { rows, fields: fields.map((field, at) => (chars[at] ? { ...field, dataTypeID: TEXT } : field)) }
    }
    const set = await queryRaw.call(Object.create(adapter, { performIO: { value: ask } }), query)
    set.columnTypes = set.columnTypes.map((type, at) => (chars[at] ? ColumnTypeEnum.Character : type))
    return set
  }
  return adapter
}

const { config, error } = await loadConfigFromFile({ configFile: 'prisma.config.ts' })
if (error) throw new Error(error._tag)
const { url, shadowDatabaseUrl } = config.datasource

class Databases extends PrismaPg {
  async connect() {
    return reading(await super.connect())
  }

  async connectToShadowDb() {
    if (!shadowDatabaseUrl) return super.connectToShadowDb()
    const shadow = await new PrismaPg({ connectionString: shadowDatabaseUrl }).connect()
    // The engine that Prisma downloads empties a shadow database so before it uses one.
    await shadow.executeScript('DROP SCHEMA "public" CASCADE; CREATE SCHEMA "public"')
    return reading(shadow)
  }
}

const head = readFileSync('schema.prisma', 'utf8')
const models = (fields) => ({ files: [{ path: 'schema.prisma', content: `${head}\nmodel Book {\n${fields}\n}\n` }] })
const filters = { externalTables: [], externalEnums: [] }
const history = []
const migrationsList = () => ({
  baseDir: '/migrations',
  lockfile: { path: 'migration_lock.toml', content: 'provider = "postgresql"' },
  shadowDbInitScript: '',
  migrationDirectories: history.map(([path, value]) => ({
    path,
    migrationFile: { path: 'migration.sql', content: { tag: 'ok', value } },
  })),
})

const factory = bindMigrationAwareSqlAdapterFactory(new Databases({ connectionString: url }))
const engine = await glue.SchemaEngine.new({ datamodels: [['schema.prisma', head]] }, () => {}, factory)

async function migrate() {
  const seen = { actions: [], applied: 0 }
  for (const [migrationName, fields] of given.migrations) {
    seen.actions.push((await engine.devDiagnostic({ migrationsList: migrationsList(), filters })).action.tag)
    const made = await engine.createMigration({
      ...{ draft: false, migrationName, migrationsList: migrationsList(), schema: models(fields), filters },
    })
    history.push([made.generatedMigrationName, made.migrationScript])
    const { appliedMigrationNames } = await engine.applyMigrations({ migrationsList: migrationsList(), filters })
    seen.applied += appliedMigrationNames.length
  }
  const state = { migrationsList: migrationsList(), optInToShadowDatabase: true, filters }
  seen.status = (await engine.diagnoseMigrationHistory(state)).history
  return seen
}

async function pull() {
  const asked = { baseDirectoryPath: '/', force: false, compositeTypeDepth: -1, namespaces: null }
  const files = [{ path: 'schema.prisma', content: head }]
  return (await engine.introspect({ ...asked, schema: { files } })).schema.files[0].content
}

const seen = given.migrations ? await migrate().catch((error) => ({ error: error.message })) : {}
answer(seen.error ? seen : { ...seen, pulled: await pull() })
process.exit(0) // the pools of the engine's connections would linger
