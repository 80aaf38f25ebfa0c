import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { oauthProvider } from '@better-auth/oauth-provider'
import { betterAuth, type BetterAuthPlugin } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { toNodeHandler } from 'better-auth/node'
import { jwt } from 'better-auth/plugins'
import type { Engine } from '../engine.js'
import { CLIENT_ID, FORM, listen, type Subject, createSubjectName } from '../subject.js'

const REFRESH_MS = 30 * 86_400_000

/**
 * `better-auth` with its OAuth provider plugin on SQLite, in WAL mode with `synchronous = FULL`. Its rate limit, which
 * is in memory, is off. It detects reuse and revokes all tokens of the user at that client.
 */
export async function betterAuthServer(engine: Engine): Promise<Subject> {
  if (engine.kind !== 'sqlite') throw new Error(`better-auth is not configured for ${engine.kind} here`)
  const { db } = engine
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  const server = createServer()
  const port = await listen(server)
  const auth = betterAuth({
    baseURL: `http://127.0.0.1:${String(port)}`,
    secret: 'benchmarks only: thirty-two bytes and more',
    database: db,
    rateLimit: { enabled: false },
    logger: { disabled: true },
    telemetry: { enabled: false },
    plugins: [
      jwt(),
      oauthProvider({
        loginPage: '/login',
        consentPage: '/consent',
        scopes: ['openid', 'profile', 'email', 'offline_access'],
        cachedTrustedClients: new Set([CLIENT_ID]),
        silenceWarnings: { oauthAuthServerConfig: true, openidConfig: true },
        // Its declarations do not support exactOptionalPropertyTypes.
      }) as unknown as BetterAuthPlugin,
    ],
  })
  const { runMigrations } = await getMigrations(auth.options)
  await runMigrations()
  server.on('request', toNodeHandler(auth) as never)

  const { adapter } = await auth.$context
  await adapter.create({
    model: 'oauthClient',
    data: {
      clientId: CLIENT_ID,
      public: true,
      tokenEndpointAuthMethod: 'none',
      grantTypes: ['authorization_code', 'refresh_token'],
      responseTypes: ['code'],
      redirectUris: ['http://127.0.0.1/callback'],
      scopes: ['offline_access'],
      createdAt: new Date(),
      updatedAt: new Date(),
    },
  })
  return {
    target: { port, path: '/api/auth/oauth2/token', form: FORM },
    async issue(count) {
      const issued: string[] = []
      for (let index = 0; index < count; index += 1) {
        const name = createSubjectName(index)
        const user = await adapter.create<Record<string, unknown>, { id: string }>({
          model: 'user',
          data: {
            name,
            email: `${name}@example.com`,
            emailVerified: true,
            createdAt: new Date(),
            updatedAt: new Date(),
          },
        })
        const token = randomBytes(16).toString('hex')
        await adapter.create({
          model: 'oauthRefreshToken',
          data: {
            token: createHash('sha256').update(token).digest('base64url'),
            clientId: CLIENT_ID,
            userId: user.id,
            scopes: ['offline_access'],
            createdAt: new Date(),
            expiresAt: new Date(Date.now() + REFRESH_MS),
          },
        })
        issued.push(token)
      }
      return issued
    },
  }
}
