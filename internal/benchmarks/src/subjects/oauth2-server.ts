import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import OAuth2Server, { type RefreshToken, type RefreshTokenModel, type Token } from '@node-oauth/oauth2-server'
import type { Engine } from '../engine.js'
import { CLIENT_ID, FORM, inParallel, listen, PATH, type Subject, createSubjectName } from '../subject.js'

const ACCESS_SECONDS = 900
const REFRESH_SECONDS = 30 * 86_400

/** Opaque tokens by their hashes, as its model requires. */
interface Tokens {
  put(key: string, value: object, seconds: number): Promise<void>
  get(key: string): Promise<unknown>
  /** Resolves to true for the one call that removed the token. */
  remove(key: string): Promise<boolean>
}

/**
 * `@node-oauth/oauth2-server` with a typical model: opaque access and refresh tokens, stored as hashes. It rotates and
 * rejects used tokens. Reuse does not end the session, and there are no retries.
 */
export async function oauth2Server(engine: Engine): Promise<Subject> {
  const tokens = tokensOn(engine)
  const client = { id: CLIENT_ID, grants: ['refresh_token'] }

  const model: RefreshTokenModel = {
    getClient: async (clientId) => (clientId === CLIENT_ID ? client : null),
    async getRefreshToken(refreshToken) {
      const found = (await tokens.get(`refresh:${hashOf(refreshToken)}`)) as { user: string; expiresAt: number } | null
      if (found === null) return null
      const refreshTokenExpiresAt = new Date(found.expiresAt)
      return { refreshToken, refreshTokenExpiresAt, client, user: { id: found.user } }
    },
    revokeToken: ({ refreshToken }: RefreshToken) => tokens.remove(`refresh:${hashOf(refreshToken)}`),
    async saveToken(token: Token, _client, user) {
      const { accessToken, refreshToken = '', accessTokenExpiresAt, refreshTokenExpiresAt } = token
      const entry = (expiresAt: Date | undefined) => ({
        user: String(user['id']),
        expiresAt: expiresAt?.getTime() ?? 0,
      })
      await Promise.all([
        tokens.put(`access:${hashOf(accessToken)}`, entry(accessTokenExpiresAt), ACCESS_SECONDS),
        tokens.put(`refresh:${hashOf(refreshToken)}`, entry(refreshTokenExpiresAt), REFRESH_SECONDS),
      ])
      return { ...token, client, user }
    },
    getAccessToken: async () => null,
  }
  const oauth = new OAuth2Server({
    model,
    accessTokenLifetime: ACCESS_SECONDS,
    refreshTokenLifetime: REFRESH_SECONDS,
    requireClientAuthentication: { refresh_token: false },
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.setEncoding('utf8')
    let text = ''
    for await (const chunk of request) text += String(chunk)
    const body = Object.fromEntries(new URLSearchParams(text))
    const asked = new OAuth2Server.Request({ method: 'POST', query: {}, headers: request.headers as never, body })
    const answered = new OAuth2Server.Response()
    await oauth.token(asked, answered).catch(() => undefined)
    response.writeHead(answered.status ?? 500, { ...answered.headers, 'content-type': 'application/json' })
    response.end(JSON.stringify(answered.body))
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  })
  return {
    target: { port: await listen(server), path: PATH, form: FORM },
    issue: (count) =>
      inParallel(count, async (index) => {
        const refreshToken = randomBytes(32).toString('hex')
        const expiresAt = Date.now() + REFRESH_SECONDS * 1000
        await tokens.put(
          `refresh:${hashOf(refreshToken)}`,
          { user: createSubjectName(index), expiresAt },
          REFRESH_SECONDS,
        )
        return refreshToken
      }),
  }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}

function tokensOn(engine: Engine): Tokens {
  if (engine.kind === 'redis') {
    const { client } = engine
    return {
      async put(key, value, seconds) {
        await client.set(key, JSON.stringify(value), 'EX', seconds)
      },
      async get(key) {
        const text = await client.get(key)
        return text === null ? null : (JSON.parse(text) as unknown)
      },
      remove: async (key) => (await client.del(key)) === 1,
    }
  }
  const values = new Map<string, object>()
  return {
    async put(key, value) {
      values.set(key, value)
    },
    get: async (key) => values.get(key) ?? null,
    remove: async (key) => values.delete(key),
  }
}
