import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair } from 'jose'
import { Provider } from 'oidc-provider'

export const CLIENT = 'spa'
export const REDIRECT_URI = 'https://app.example/callback'

const { privateKey } = await generateKeyPair('RS256', { extractable: true })
const jwks = { keys: [{ ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig' }] }

interface Exchange {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly response: ServerResponse
}

/** A real oidc-provider on loopback: rotates refresh tokens, ends a grant at reuse, and knows nothing of Baton. */
export async function startForeignServer() {
  const heard: Exchange[] = []
  const drops = new Map<string, number>()
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`

  const oidc: Provider = new Provider(origin, {
    jwks,
    clients: [
      {
        client_id: CLIENT,
        token_endpoint_auth_method: 'none',
        redirect_uris: [REDIRECT_URI],
        grant_types: ['authorization_code', 'refresh_token'],
      },
    ],
    rotateRefreshToken: true,
    issueRefreshToken: async () => true,
    ttl: {
      AccessToken: 600,
      AuthorizationCode: 60,
      Grant: 86_400,
      IdToken: 600,
      RefreshToken: 86_400,
      Session: 86_400,
    },
    cookies: { keys: ['a key of the tests'] },
    findAccount: async (_context, accountId) => ({ accountId, claims: async () => ({ sub: accountId }) }),
    // A user who has signed in has given consent.
    async loadExistingGrant({ oidc: { client, session } }) {
      const grant = new oidc.Grant({ accountId: session?.accountId ?? '', clientId: client?.clientId ?? '' })
      grant.addOIDCScope('openid')
      await grant.save()
      return grant
    },
    interactions: { url: (_context, { uid }) => `/sign-in/${uid}` },
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true },
      dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 'n'), requireNonce: () => true },
    },
  })

  const answer = oidc.callback()
  server.on('request', (request, response) => {
    const path = new URL(request.url ?? '/', origin).pathname
    heard.push({ path, headers: request.headers, response })
    if (path.startsWith('/sign-in/')) {
      void oidc.interactionFinished(request, response, { login: { accountId: 'alice' } })
      return
    }
    const left = drops.get(path) ?? 0
    if (left > 0) {
      drops.set(path, left - 1)
      // The request was processed, and its response is lost.
      response.end = () => response.destroy()
    }
    void answer(request, response)
  })

  return {
    origin,
    asked: (path: string) =>
      heard
        .filter((exchange) => exchange.path === path)
        .map(({ headers, response }) => ({ headers, status: response.statusCode })),
    /** The next answer for this path is lost, after what it is about has been done. */
    drop: (path: string) => drops.set(path, (drops.get(path) ?? 0) + 1),
    /** Makes the access token expire. */
    async endAccessToken(value: string): Promise<void> {
      await (await oidc.AccessToken.find(value))?.destroy()
    },
    knows: async (refreshToken: string) => (await oidc.RefreshToken.find(refreshToken)) !== undefined,
    /** Follows the redirects of a browser in which a user signs in. Resolves with the URL of the callback. */
    async browse(url: string): Promise<string> {
      const cookies = new Map<string, string>()
      for (let at = url; ;) {
        if (at.startsWith(REDIRECT_URI)) return at
        const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
        const response = await fetch(at, { redirect: 'manual', headers: { cookie } })
        const location = response.headers.get('location')
        if (location === null) throw new Error(`${at} answered ${String(response.status)} ${await response.text()}`)
        for (const line of response.headers.getSetCookie()) {
          const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
          if (value === '') cookies.delete(name)
          else cookies.set(name, value)
        }
        at = new URL(location, at).href
      }
    },
    async stop(): Promise<void> {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export type ForeignServer = Awaited<ReturnType<typeof startForeignServer>>
