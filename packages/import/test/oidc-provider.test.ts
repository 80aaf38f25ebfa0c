import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { memoryStore } from '@baton/store-memory'
import Database from 'better-sqlite3'
import { exportJWK, generateKeyPair } from 'jose'
import { Provider } from 'oidc-provider'
import { describe, expect, it } from 'vitest'
import { oidcProviderTokens, type OidcProviderTokensOptions } from '../src/index.js'
import { createApp, expectReuse, expectImportedOnce, expectSuccess, waitForCall } from './world.js'

const { privateKey } = await generateKeyPair('RS256', { extractable: true })
const jwks = { keys: [{ ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig' }] }

const CLIENT = {
  client_id: 'app',
  client_secret: 'app-secret',
  redirect_uris: ['https://app.example/callback'],
  grant_types: ['authorization_code', 'refresh_token'],
}

/** An oidc-provider whose adapter keeps everything in one table of SQLite, as its users write them. */
function provider() {
  const db = new Database(':memory:')
  db.exec('CREATE TABLE oidc (model TEXT, id TEXT, payload TEXT, uid TEXT, grant_id TEXT, PRIMARY KEY (model, id))')
  const parsed = (row: unknown) => (row === undefined ? undefined : JSON.parse((row as { payload: string }).payload))

  class SqliteAdapter {
    constructor(readonly model: string) {}

    async upsert(id: string, payload: { uid?: string; grantId?: string }) {
      db.prepare('INSERT OR REPLACE INTO oidc VALUES (?, ?, ?, ?, ?)').run(
        this.model,
        id,
        JSON.stringify(payload),
        payload.uid ?? null,
        payload.grantId ?? null,
      )
    }

    async find(id: string) {
      return parsed(db.prepare('SELECT payload FROM oidc WHERE model = ? AND id = ?').get(this.model, id))
    }

    async findByUid(uid: string) {
      return parsed(db.prepare('SELECT payload FROM oidc WHERE model = ? AND uid = ?').get(this.model, uid))
    }

    async findByUserCode() {
      return undefined
    }

    async consume(id: string) {
      db.prepare(`UPDATE oidc SET payload = json_set(payload, '$.consumed', ?) WHERE model = ? AND id = ?`).run(
        Math.floor(Date.now() / 1000),
        this.model,
        id,
      )
    }

    async destroy(id: string) {
      db.prepare('DELETE FROM oidc WHERE model = ? AND id = ?').run(this.model, id)
    }

    async revokeByGrantId(grantId: string) {
      db.prepare('DELETE FROM oidc WHERE grant_id = ?').run(grantId)
    }
  }

  const oidc = new Provider('https://old.example', {
    adapter: SqliteAdapter,
    clients: [CLIENT],
    jwks,
    ttl: { Grant: 14 * 86_400, RefreshToken: 14 * 86_400, AccessToken: 600, IdToken: 600, Session: 86_400 },
    cookies: { keys: ['a key of the tests'] },
    findAccount: async (_context, accountId) => ({ accountId, claims: async () => ({ sub: accountId }) }),
    features: { devInteractions: { enabled: false } },
  })
  oidc.proxy = true

  /** What the authorization code flow leaves behind, made by the provider's own models. */
  async function signIn(more: object = {}) {
    const client = (await oidc.Client.find('app'))!
    const grant = new oidc.Grant({ accountId: 'alice', clientId: 'app' })
    grant.addOIDCScope('openid offline_access')
    const grantId = await grant.save()
    const token = new oidc.RefreshToken({
      accountId: 'alice',
      client,
      grantId,
      gty: 'authorization_code',
      scope: 'openid offline_access',
      ...more,
    })
    return { token: await token.save(), grantId }
  }

  return { oidc, db, signIn, SqliteAdapter }
}

type Old = ReturnType<typeof provider>

/** Asks the real provider over HTTP. */
async function refreshThere({ oidc }: Old, refreshToken: string): Promise<{ status: number; body: unknown }> {
  const server = createServer((request, response) => void oidc.callback()(request, response)).listen(0, '127.0.0.1')
  try {
    await once(server, 'listening')
    const response = await fetch(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}/token`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from('app:app-secret').toString('base64')}`,
        'x-forwarded-proto': 'https',
      },
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken }),
    })
    return { status: response.status, body: await response.json() }
  } finally {
    server.close()
  }
}

const here = (old: Old, options: Partial<OidcProviderTokensOptions> = {}, store = memoryStore()) =>
  createApp(store, oidcProviderTokens({ adapter: old.SqliteAdapter, ...options }))

describe('tokens of oidc-provider', () => {
  it('are accepted by the provider', async () => {
    const old = provider()
    expect(await refreshThere(old, (await old.signIn()).token)).toMatchObject({ status: 200 })
  })

  it('imports a token once despite 50 parallel requests, a lost response and a restart, and detects reuse', async () => {
    const old = provider()
    const { token } = await old.signIn()
    const stored = await new old.SqliteAdapter('RefreshToken').find(token)
    const store = memoryStore()
    const moved = await expectImportedOnce(token, { start: () => here(old, {}, store), clientId: 'app' })
    expect(moved.family).toMatchObject({
      subject: 'alice',
      clientId: 'app',
      scope: 'openid offline_access',
      offline: true,
      createdAt: stored.iiat * 1000,
    })
    expect((await store.find(moved.family.id))!.lifetime.keepUntil).toBe(stored.exp * 1000 + 60_000)
    await waitForCall(async () => {
      expect(await new old.SqliteAdapter('RefreshToken').find(token)).toBeUndefined()
    })
    expect(await refreshThere(old, token)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
    await expectReuse(token, { moved, clientId: 'app' })
  })

  it('keeps the grant and its other tokens after an import', async () => {
    const old = provider()
    const one = await old.signIn()
    const other = await old.signIn({ grantId: one.grantId })
    expectSuccess(await here(old).rotate({ refreshToken: one.token, clientId: 'app' }))
    await waitForCall(async () => {
      expect(await new old.SqliteAdapter('RefreshToken').find(one.token)).toBeUndefined()
    })
    expect((await refreshThere(old, one.token)).status).toBe(400)
    expect((await refreshThere(old, other.token)).status).toBe(200)
  })

  it.each([
    [
      'used',
      async ({ SqliteAdapter }: Old, { token }: { token: string }) => new SqliteAdapter('RefreshToken').consume(token),
    ],
    [
      'destroyed',
      async (old: Old, { token }: { token: string }) => (await old.oidc.RefreshToken.find(token))!.destroy(),
    ],
    [
      'of a revoked grant',
      async (old: Old, { grantId }: { grantId: string }) => (await old.oidc.Grant.find(grantId))!.destroy(),
    ],
    [
      'of an expired grant',
      async ({ db }: Old) => db.exec(`UPDATE oidc SET payload = json_set(payload, '$.exp', 1) WHERE model = 'Grant'`),
    ],
    [
      'of the grant of another user',
      async ({ db }: Old) =>
        db.exec(`UPDATE oidc SET payload = json_set(payload, '$.accountId', 'bob') WHERE model = 'Grant'`),
    ],
  ])('rejects a token that is %s', async (_name, spoil) => {
    const old = provider()
    const signedIn = await old.signIn()
    await spoil(old, signedIn)
    expect(await here(old).rotate({ refreshToken: signedIn.token, clientId: 'app' })).toMatchObject({
      reason: 'malformed',
    })
  })

  it('rejects an expired token', async () => {
    const old = provider()
    const { token } = await old.signIn({ expiresIn: 1 })
    const later = createApp(memoryStore(), oidcProviderTokens({ adapter: old.SqliteAdapter }), {
      now: () => Date.now() + 2000,
    })
    expect(await later.rotate({ refreshToken: token, clientId: 'app' })).toEqual({ ok: false, reason: 'expired' })
  })

  it('rejects a token that ends with its session if the session is missing', async () => {
    const old = provider()
    const { oidc } = old
    const session = Object.assign(new oidc.Session(), { accountId: 'alice', loginTs: Math.floor(Date.now() / 1000) })
    const bound = { expiresWithSession: true, sessionUid: session.uid }
    const kept = await old.signIn(bound)
    session.authorizations = { app: { grantId: kept.grantId, sid: 'sid' } }
    // Its types know nothing of the time to live that it asks for.
    const save: (seconds: number) => Promise<string> = session.save.bind(session)
    await save(3600)
    expect(expectSuccess(await here(old).rotate({ refreshToken: kept.token, clientId: 'app' })).outcome).toBe(
      'imported',
    )

    const ofAnotherGrant = await old.signIn(bound)
    expect(await here(old).rotate({ refreshToken: ofAnotherGrant.token, clientId: 'app' })).toMatchObject({ ok: false })
    const signedOut = await old.signIn({ ...bound, grantId: kept.grantId })
    await session.destroy()
    expect(await here(old).rotate({ refreshToken: signedOut.token, clientId: 'app' })).toMatchObject({ ok: false })
  })

  it.each([[{ jkt: 'thumbprint' }], [{ 'x5t#S256': 'thumbprint' }]])(
    'one that is bound stays bound: %o',
    async (confirmation) => {
      const old = provider()
      const { token } = await old.signIn(confirmation)
      expect(await here(old).rotate({ refreshToken: token, clientId: 'app' })).toMatchObject({ reason: 'mismatch' })
      const { family } = expectSuccess(await here(old).rotate({ refreshToken: token, clientId: 'app', confirmation }))
      expect(family.confirmation).toEqual(confirmation)
    },
  )

  it('imports resources as the audience, and maps account names', async () => {
    const old = provider()
    const { token } = await old.signIn({ resource: ['https://one.example', 'https://two.example'] })
    const { family } = expectSuccess(
      await here(old, { subject: (accountId) => `user:${accountId}` }).rotate({ refreshToken: token, clientId: 'app' }),
    )
    expect(family).toMatchObject({ subject: 'user:alice', audience: ['https://one.example', 'https://two.example'] })
  })

  it('rejects other models of the same table', async () => {
    const old = provider()
    const { grantId } = await old.signIn()
    expect(await here(old).rotate({ refreshToken: grantId, clientId: 'app' })).toMatchObject({ reason: 'malformed' })
  })

  it('accepts an adapter class or function only', async () => {
    const old = provider()
    const { token } = await old.signIn()
    const adapter = (name: string) => new old.SqliteAdapter(name)
    expect(expectSuccess(await here(old, { adapter }).rotate({ refreshToken: token, clientId: 'app' })).ok).toBe(true)
    expect(() => oidcProviderTokens({ adapter: {} } as never)).toThrow(
      /^option "adapter" must be the adapter of the configuration of oidc-provider/,
    )
  })
})
