import { ConfigurationError } from '@baton/core'
import { createHash } from 'node:crypto'
import { memoryStore } from '@baton/store-memory'
import { postgresStore } from '@baton/store-postgres'
import { sqliteStore } from '@baton/store-sqlite'
import { startPostgres } from '@baton/test-servers'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { sqlTokens, type SqlTokensOptions } from '../src/index.js'
import { oauth2Server } from './oauth2-server.js'
import { createApp, expectReuse, expectImportedOnce, expectSuccess, waitForCall } from './world.js'

const sha256 = (token: string) => createHash('sha256').update(token).digest('hex')

/** The old app's table in SQLite, filled by @node-oauth/oauth2-server; tokens as the app chose to keep them. */
function oldApp(keep: (token: string) => string, { collate = '' } = {}) {
  const db = new Database(':memory:')
  db.exec(`CREATE TABLE oauth_tokens (
    id INTEGER PRIMARY KEY, refresh_token TEXT UNIQUE ${collate}, expires TEXT, client TEXT, user INTEGER, scope TEXT,
    created TEXT DEFAULT CURRENT_TIMESTAMP, revoked INTEGER DEFAULT 0
  )`)
  const insert = db.prepare(
    'INSERT INTO oauth_tokens (refresh_token, expires, client, user, scope) VALUES (?, ?, ?, ?, ?)',
  )
  const signIn = oauth2Server({
    insert: async ({ refreshToken, expiresAt, clientId, userId, scope }) =>
      insert.run(keep(refreshToken), expiresAt.toISOString(), clientId, userId, scope),
  })
  const query = (sql: string, values: [string]) => {
    const statement = db.prepare(sql)
    return statement.reader ? statement.all(...values) : [statement.run(...values)]
  }
  const find = `SELECT refresh_token AS token, user AS subject, client AS client_id, scope, created AS created_at, expires AS expires_at
    FROM oauth_tokens WHERE refresh_token = ? AND revoked = 0`
  const moved = 'UPDATE oauth_tokens SET revoked = 1 WHERE refresh_token = ?'
  const options: SqlTokensOptions = { query, find, moved, matches: /^[0-9a-f]{64}$/ }
  return { db, signIn, options }
}

describe('tokens of @node-oauth/oauth2-server in SQLite', () => {
  it.each([
    ['plain', (token: string) => token, 'plain'],
    ['hashed', sha256, 'sha256-hex'],
    [
      'hashed by a function',
      (token: string) => sha256(`pepper:${token}`),
      (token: string) => sha256(`pepper:${token}`),
    ],
  ] satisfies [string, (token: string) => string, SqlTokensOptions['stored']][])(
    'imports a token (%s) once despite 50 parallel requests, a lost response and a restart, and detects reuse',
    async (_name, keep, stored) => {
      const { db, signIn, options } = oldApp(keep)
      const token = await signIn()
      const store = sqliteStore(new Database(':memory:'))
      const moved = await expectImportedOnce(token, {
        start: () => createApp(store, sqlTokens({ ...options, stored })),
        clientId: 'app',
      })
      expect(moved.family).toMatchObject({ subject: '7', clientId: 'app', scope: 'read write', offline: false })
      await waitForCall(() => {
        expect(db.prepare('SELECT revoked FROM oauth_tokens').all()).toEqual([{ revoked: 1 }])
      })
      await expectReuse(token, { moved, clientId: 'app' })
    },
  )

  it('keeps the record until the token expires, and dates the family by the sign-in', async () => {
    const { db, signIn, options } = oldApp(sha256)
    const token = await signIn()
    db.exec("UPDATE oauth_tokens SET created = '2026-01-01 12:00:00'")
    const store = memoryStore()
    const now = () => Date.UTC(2026, 0, 20)
    const here = createApp(store, sqlTokens({ ...options, stored: 'sha256-hex' }), { now })
    const { family } = expectSuccess(await here.rotate({ refreshToken: token, clientId: 'app' }))
    expect(family.createdAt).toBe(Date.UTC(2026, 0, 1, 12))
    const [row] = db.prepare('SELECT expires FROM oauth_tokens').all() as { expires: string }[]
    expect((await store.find(family.id))!.lifetime.keepUntil).toBe(Date.parse(row!.expires) + 60_000)
  })

  it('rejects a revoked token, and creates no family for a token of another client', async () => {
    const { db, signIn, options } = oldApp(sha256)
    const token = await signIn()
    const here = createApp(memoryStore(), sqlTokens({ ...options, stored: 'sha256-hex' }))
    expect(await here.rotate({ refreshToken: token, clientId: 'other' })).toEqual({ ok: false, reason: 'mismatch' })
    db.exec('UPDATE oauth_tokens SET revoked = 1')
    expect(await here.rotate({ refreshToken: token, clientId: 'app' })).toEqual({ ok: false, reason: 'malformed' })
  })

  it('rejects a stored hash as a token', async () => {
    const { signIn, options } = oldApp(sha256)
    const token = await signIn()
    const here = createApp(memoryStore(), sqlTokens({ ...options, stored: 'sha256-hex' }))
    expect(await here.rotate({ refreshToken: sha256(token), clientId: 'app' })).toMatchObject({ reason: 'malformed' })
  })

  it('creates no second family if the database ignores case', async () => {
    const { signIn, options } = oldApp((token) => token, { collate: 'COLLATE NOCASE' })
    const token = await signIn()
    const { query, find } = options
    const here = createApp(memoryStore(), sqlTokens({ query, find }))
    const other = token.toUpperCase()
    expect(query(find, [other])).toHaveLength(1)
    expect(await here.rotate({ refreshToken: other, clientId: 'app' })).toEqual({ ok: false, reason: 'malformed' })
    expect(expectSuccess(await here.rotate({ refreshToken: token, clientId: 'app' })).outcome).toBe('imported')
  })

  it.each([
    [
      'offline families have their limits',
      "1 AS offline, 'jkt:k' AS bound_key",
      { offline: true, confirmation: { jkt: 'k' } },
    ],
    ['null is nothing', 'NULL AS offline, NULL AS bound_key', { offline: false, confirmation: null }],
    ['an absolute end holds', '4102444800 AS absolute_expires_at', { absoluteExpiresAt: 4_102_444_800_000 }],
  ])('%s', async (_name, columns, expected) => {
    const { signIn, options } = oldApp(sha256)
    const token = await signIn()
    const find = options.find.replace('SELECT', `SELECT ${columns},`)
    const here = createApp(memoryStore(), sqlTokens({ ...options, find, stored: 'sha256-hex' }))
    const outcome = await here.rotate({ refreshToken: token, clientId: 'app', confirmation: { jkt: 'k' } })
    expect(expectSuccess(outcome).family).toMatchObject(expected)
  })

  it.each([
    ['selects no token', 'SELECT user AS subject, expires AS expires_at FROM oauth_tokens WHERE refresh_token = ?'],
    [
      'selects no subject',
      'SELECT refresh_token AS token, expires AS expires_at FROM oauth_tokens WHERE refresh_token = ?',
    ],
    ['selects no expiry', 'SELECT refresh_token AS token, user AS subject FROM oauth_tokens WHERE refresh_token = ?'],
    ['is no SQL', 'FIND IT ?'],
  ])('reports a statement that %s as an error and signs no user out', async (_name, find) => {
    const { signIn, options } = oldApp(sha256)
    const token = await signIn()
    const here = createApp(memoryStore(), sqlTokens({ ...options, find, stored: 'sha256-hex' }))
    await expect(here.rotate({ refreshToken: token, clientId: 'app' })).rejects.toMatchObject({ code: 'hook_failed' })
  })

  it('rejects rows of other spellings, and reports two rows of one token as an error', async () => {
    const { db, signIn, options } = oldApp((token) => token)
    const token = await signIn()
    const { query, find } = options
    const insensitive = find.replace('refresh_token = ?', 'lower(refresh_token) = lower(?)')
    const copy =
      'INSERT INTO oauth_tokens (refresh_token, expires, client, user) SELECT ?, expires, client, user FROM oauth_tokens LIMIT 1'
    db.prepare(copy).run(token.toUpperCase())
    const here = createApp(memoryStore(), sqlTokens({ query, find: insensitive }))
    const mixed = token.replace(/[a-f]/, (letter) => letter.toUpperCase())
    expect(await here.rotate({ refreshToken: mixed, clientId: 'app' })).toEqual({ ok: false, reason: 'malformed' })
    expect(here.events.filter(({ type }) => type === 'fault')).toEqual([])
    expect(expectSuccess(await here.rotate({ refreshToken: token, clientId: 'app' })).outcome).toBe('imported')

    const twice = createApp(
      memoryStore(),
      sqlTokens({ query, find: `${find} UNION ALL ${find.replace('?', '?1')}`.replace('?', '?1') }),
    )
    await expect(twice.rotate({ refreshToken: token, clientId: 'app' })).rejects.toMatchObject({ code: 'hook_failed' })
  })

  it.each([
    [{ query: undefined }, /^option "query" is missing; it must be a function/],
    [{ find: undefined }, /^option "find" is missing; it must be well-formed text/],
    [{ stored: 'md5' }, /^option "stored" must be "plain", "sha256-hex"/],
    [{ matches: /x/g }, /^option "matches" must be a regular expression without the flags g and y/],
    [{ matches: 'x' }, /^option "matches" must be a regular expression without the flags g and y, got "x"/],
  ])('rejects %o at construction', (wrong, message) => {
    const options = { query: () => [], find: 'SELECT', ...wrong } as unknown as SqlTokensOptions
    expect(() => sqlTokens(options)).toThrow(message)
    expect(() => sqlTokens(options)).toThrow(ConfigurationError)
  })
})

describe('a typed column of PostgreSQL', () => {
  it('rejects text that the column cannot hold, and reports a wrong configuration as an error', async () => {
    const server = await startPostgres()
    try {
      const pool = server.pool()
      await pool.query('CREATE TABLE tokens (token uuid PRIMARY KEY, number bigint)')
      const query: SqlTokensOptions['query'] = async (sql, values) => (await pool.query(sql, values)).rows
      const find =
        "SELECT token::text AS token, 'alice' AS subject, 4102444800 AS expires_at FROM tokens WHERE token = $1"
      const token = '0123abcd-0000-4000-8000-000000000000'
      await pool.query('INSERT INTO tokens VALUES ($1, 7)', [token])
      const here = createApp(memoryStore(), sqlTokens({ query, find }))
      for (const refreshToken of ['x', "'", token.slice(1), '0'.repeat(8192)])
        expect(await here.rotate({ refreshToken })).toEqual({ ok: false, reason: 'malformed' })
      const byNumber = createApp(memoryStore(), sqlTokens({ query, find: find.replace('token = $1', 'number = $1') }))
      for (const refreshToken of ['x', '9'.repeat(40)])
        expect(await byNumber.rotate({ refreshToken })).toEqual({ ok: false, reason: 'malformed' })
      expect([...here.events, ...byNumber.events].filter(({ type }) => type === 'fault')).toEqual([])
      expect(expectSuccess(await here.rotate({ refreshToken: token })).outcome).toBe('imported')

      const hashed = createApp(memoryStore(), sqlTokens({ query, find, stored: 'sha256-hex' }))
      await expect(hashed.rotate({ refreshToken: token })).rejects.toMatchObject({ code: 'hook_failed' })
      const matched = createApp(memoryStore(), sqlTokens({ query, find, matches: /^old-[0-9]+$/ }))
      await expect(matched.rotate({ refreshToken: 'old-1' })).rejects.toMatchObject({ code: 'hook_failed' })
    } finally {
      await server.stop()
    }
  })
})

describe('tokens of @node-oauth/oauth2-server in PostgreSQL', () => {
  it('imports a token once despite 50 parallel requests on three pools, a lost response and a restart, and detects reuse', async () => {
    const server = await startPostgres()
    try {
      const pool = server.pool()
      await pool.query(
        'CREATE TABLE tokens (hash text PRIMARY KEY, uid bigint, client text, scope text, made timestamptz DEFAULT now(), ends timestamptz)',
      )
      const signIn = oauth2Server({
        insert: ({ refreshToken, expiresAt, clientId, userId, scope }) =>
          pool.query('INSERT INTO tokens (hash, uid, client, scope, ends) VALUES ($1, $2, $3, $4, $5)', [
            sha256(refreshToken),
            userId,
            clientId,
            scope,
            expiresAt,
          ]),
      })
      const accept = sqlTokens({
        query: async (sql, values) => (await pool.query(sql, values)).rows,
        find: 'SELECT hash AS token, uid AS subject, client AS client_id, scope, made AS created_at, ends AS expires_at FROM tokens WHERE hash = $1',
        moved: 'DELETE FROM tokens WHERE hash = $1',
        stored: 'sha256-hex',
      })
      await postgresStore(pool).migrate()
      const token = await signIn()
      const moved = await expectImportedOnce(token, {
        start: () => createApp(postgresStore(server.pool()), accept),
        clientId: 'app',
      })
      expect(moved.family).toMatchObject({ subject: '7', scope: 'read write' })
      await waitForCall(async () => {
        expect((await pool.query('SELECT * FROM tokens')).rows).toEqual([])
      })
      await expectReuse(token, { moved, clientId: 'app' })
    } finally {
      await server.stop()
    }
  })
})
