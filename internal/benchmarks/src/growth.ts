import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type FamilyId, type FamilyRecord, type TokenStore, type Verifier } from '@baton/core'
import { memoryStore } from '@baton/store-memory'
import { postgresStore } from '@baton/store-postgres'
import { redisStore } from '@baton/store-redis'
import { sqliteStore } from '@baton/store-sqlite'
import { startPostgres, startRedis } from '@baton/test-servers'
import Database from 'better-sqlite3'
import { Redis } from 'ioredis'
import pg from 'pg'

/*
 * Measures a store with many families: the time of a rotation among few and among many families, the size of a family,
 * and the pauses during a purge. With `--hold` it measures after a line on standard input: filling a store takes
 * minutes, in which the machine may be busy.
 */

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { hold: { type: 'boolean', default: false } },
})
const MANY = Number(positionals[0] ?? 1_000_000)
const NAMED = positionals.slice(1)
const FEW = 1000
const NOW = Date.UTC(2027, 0, 15)
const DAY = 86_400_000
const ROTATIONS = 1000
const ROUNDS = 3
const CONCURRENCY = 256

const stores: Readonly<Record<string, () => Promise<void>>> = {
  memory: () => grow('memory', async () => memoryStore({ maxFamilies: MANY + 1 })),

  async sqlite() {
    const folder = mkdtempSync(join(tmpdir(), 'baton-growth-'))
    try {
      await grow('sqlite', async (name) => sqliteStore(new Database(join(folder, `${name}.db`))))
    } finally {
      rmSync(folder, { recursive: true })
    }
  },

  async redis() {
    const server = await startRedis({ appendonly: 'everysec' })
    const client = new Redis({ host: server.host, port: server.port })
    await grow('redis', async (name) => redisStore(client, { prefix: `${name}:` }))
    client.disconnect()
    await server.stop()
  },

  async postgres() {
    const server = await startPostgres({})
    const pool = new pg.Pool({ connectionString: server.url, max: 10 })
    pool.on('error', () => undefined)
    const open = async (schema: string) => {
      const store = postgresStore(pool, { schema, namedStatements: true })
      await store.migrate()
      return store
    }
    await grow('postgres', open, async (store, schema, count) => {
      await store.create(familyOf(0), NOW)
      // The same records as from `familyOf`. Through the store, this would take several minutes.
      await pool.query(
        `INSERT INTO ${schema}.families SELECT one.*
           FROM ${schema}.families AS pattern, generate_series(1, $1::int - 1) AS n,
             rtrim(encode(lpad(n::text, 16, '0')::bytea, 'base64'), '=') AS one_id,
             jsonb_populate_record(pattern, jsonb_build_object(
               'id', one_id, 'verifier', one_id, 'subject', 'user-' || n, 'created_at', pattern.created_at + n)) AS one`,
        [count],
      )
      await pool.query(`VACUUM ANALYZE ${schema}.families`)
      await pool.query('CHECKPOINT')
    })
    const text = 'SELECT sum(n_tup_hot_upd) / sum(n_tup_upd) AS share FROM pg_stat_user_tables'
    const { rows } = await pool.query<{ share: string }>(text)
    console.log(`postgres: share of updates that are HOT: ${Number(rows[0]?.share).toFixed(4)}`)
    await pool.end()
    await server.stop()
  },
}
for (const [name, run] of Object.entries(stores)) if (NAMED.length === 0 || NAMED.includes(name)) await run()
process.stdin.destroy()

async function grow(
  name: string,
  open: (name: string) => Promise<TokenStore>,
  fill: (store: TokenStore, name: string, count: number) => Promise<void> = fillByItself,
): Promise<void> {
  const tell = (what: string, value: number) => {
    console.log(`${name}: ${what}: ${value.toFixed(1)}`)
  }
  const few = await open('few')
  await fill(few, 'few', FEW)
  const before = heapUsed()
  const many = await open('many')
  await fill(many, 'many', MANY)
  tell('heap bytes a family', (heapUsed() - before) / MANY)
  if (flags.hold) {
    console.log(`${name}: ready`)
    await once(process.stdin, 'data')
  }
  // In alternation, so that the load of the machine affects both.
  for (let round = 1; round <= ROUNDS; round += 1) {
    tell(`p50 of a rotation among ${String(FEW)}, µs`, await middleRotation(few, FEW))
    tell(`p50 of a rotation among ${String(MANY)}, µs`, await middleRotation(many, MANY))
  }
  tell('longest pause while all are purged, ms', await longestPause(many))
}

async function fillByItself(store: TokenStore, _name: string, count: number): Promise<void> {
  for (let first = 0; first < count; first += CONCURRENCY) {
    const size = Math.min(CONCURRENCY, count - first)
    await Promise.all(Array.from({ length: size }, (_, index) => store.create(familyOf(first + index), NOW)))
  }
}

/** Families from the whole store, one after the other. */
async function middleRotation(store: TokenStore, count: number): Promise<number> {
  const times: number[] = []
  for (let turn = 0; turn < ROTATIONS; turn += 1) {
    const { id } = familyOf((turn * 7919) % count)
    const record = await store.find(id)
    if (record === null) throw new Error('a family was not found')
    const next = {
      generation: record.current.generation + 1,
      verifier: `${id.slice(0, 12)}${String(turn).padStart(10, '0')}` as Verifier,
      nonce: 'another-nonce-16',
      keyId: 'keyI',
      rotatedAt: NOW,
      retryKey: null,
    }
    const startedAt = performance.now()
    await store.rotate({ id, expect: record.current.verifier, next, now: NOW })
    times.push(performance.now() - startedAt)
  }
  return (times.sort((one, other) => one - other)[ROTATIONS / 2] ?? NaN) * 1000
}

/** The longest CPU time of one turn of the event loop. The load of other processes does not count. */
async function longestPause(store: TokenStore): Promise<number> {
  let [longest, last, isOver] = [0, processorMilliseconds(), false]
  const watch = () => {
    const now = processorMilliseconds()
    longest = Math.max(longest, now - last)
    last = now
    if (!isOver) setImmediate(watch)
  }
  setImmediate(watch)
  const later = NOW + 365 * DAY
  while ((await store.purge(later, 10_000)) === 10_000);
  isOver = true
  // The work after the last pause counts as well.
  return Math.max(longest, processorMilliseconds() - last)
}

function processorMilliseconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function heapUsed(): number {
  for (let round = 0; round < 3; round += 1) globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

/** Every subject has one session, which is the worst case for the index. */
function familyOf(index: number): FamilyRecord {
  const id = Buffer.from(String(index).padStart(16, '0')).toString('base64url') as FamilyId
  return {
    id,
    current: {
      generation: 0,
      verifier: String(id) as Verifier,
      nonce: 'a-nonce-of-16-by',
      keyId: 'keyI',
      rotatedAt: NOW,
      retryKey: null,
    },
    grant: {
      subject: `user-${String(index)}`,
      clientId: 'first-party',
      scope: '',
      audience: [],
      confirmation: null,
      offline: false,
      metadata: {},
      createdAt: NOW + index,
    },
    lifetime: { idleMs: 30 * DAY, absoluteExpiresAt: NOW + 90 * DAY, keepUntil: NOW },
    expiresAt: NOW + 30 * DAY,
    revocation: null,
  }
}
