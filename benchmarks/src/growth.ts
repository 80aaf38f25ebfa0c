import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
 * What becomes of a store when it is full: how long a rotation takes among few and among many families, what a family weighs, and
 * how long a purge holds up everybody else.
 */

const MANY = Number(process.argv[2] ?? 1_000_000)
const NAMED = process.argv.slice(3)
const FEW = 1000
const NOW = Date.UTC(2027, 0, 15)
const DAY = 86_400_000
const ROTATIONS = 1000
const ROUNDS = 3
const AT_ONCE = 256

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
    await grow('postgres', async (schema) => {
      const store = postgresStore(pool, { schema, namedStatements: true })
      await store.migrate()
      return store
    })
    const text = 'SELECT sum(n_tup_hot_upd) / sum(n_tup_upd) AS share FROM pg_stat_user_tables'
    const { rows } = await pool.query<{ share: string }>(text)
    console.log(`postgres: share of updates that are HOT: ${Number(rows[0]?.share).toFixed(4)}`)
    await pool.end()
    await server.stop()
  },
}
for (const [name, run] of Object.entries(stores)) if (NAMED.length === 0 || NAMED.includes(name)) await run()

async function grow(name: string, open: (name: string) => Promise<TokenStore>): Promise<void> {
  const few = await open('few')
  await fill(few, FEW)
  const before = heapUsed()
  const many = await open('many')
  await fill(many, MANY)
  const bytes = (heapUsed() - before) / MANY
  const rows: [what: string, value: number][] = []
  // In turns, so that a busy moment of the machine falls on both.
  for (let round = 1; round <= ROUNDS; round += 1)
    rows.push(
      [`p50 of a rotation among ${String(FEW)}, µs`, await middleRotation(few, FEW)],
      [`p50 of a rotation among ${String(MANY)}, µs`, await middleRotation(many, MANY)],
    )
  rows.push(['heap bytes a family', bytes], ['longest pause while all are purged, ms', await longestPause(many)])
  for (const [what, value] of rows) console.log(`${name}: ${what}: ${value.toFixed(1)}`)
}

async function fill(store: TokenStore, count: number): Promise<void> {
  for (let first = 0; first < count; first += AT_ONCE) {
    const size = Math.min(AT_ONCE, count - first)
    await Promise.all(Array.from({ length: size }, (_, index) => store.create(familyOf(first + index), NOW)))
  }
}

/** Of families all over the store, one after the other. */
async function middleRotation(store: TokenStore, count: number): Promise<number> {
  const times: number[] = []
  for (let turn = 0; turn < ROTATIONS; turn += 1) {
    const { id } = familyOf((turn * 7919) % count)
    const record = await store.find(id)
    if (record === null) throw new Error('a family is gone')
    const next = {
      generation: record.generation + 1,
      verifier: `${id.slice(0, 12)}${String(turn).padStart(10, '0')}` as Verifier,
      nonce: 'another-nonce-16',
      keyId: 'keyI',
      rotatedAt: NOW,
      retryKey: null,
    }
    const startedAt = performance.now()
    await store.rotate({ id, expect: record.verifier, next, now: NOW })
    times.push(performance.now() - startedAt)
  }
  return (times.sort((one, other) => one - other)[ROTATIONS / 2] ?? NaN) * 1000
}

/** The longest that one turn of the event loop kept the processor: what a neighbour on the machine takes is not counted. */
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
  // What went on to the very end without a pause counts as well.
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

/** Everybody has one session: the index costs most then. */
function familyOf(index: number): FamilyRecord {
  const id = Buffer.from(String(index).padStart(16, '0')).toString('base64url') as FamilyId
  return {
    id,
    generation: 0,
    verifier: String(id) as Verifier,
    nonce: 'a-nonce-of-16-by',
    keyId: 'keyI',
    rotatedAt: NOW,
    retryKey: null,
    idleMs: 30 * DAY,
    expiresAt: NOW + 30 * DAY,
    absoluteExpiresAt: NOW + 90 * DAY,
    keepUntil: NOW,
    revocation: null,
    subject: `user-${String(index)}`,
    clientId: 'first-party',
    scope: '',
    audience: [],
    boundKey: null,
    offline: false,
    metadata: {},
    createdAt: NOW + index,
  }
}
