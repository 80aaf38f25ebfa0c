import { createRefreshTokens } from '@baton/core'
import { type AuthHandlerFactory, type AuthServerOptions, generateSigningKey, jwtAccessTokens } from '@baton/http'
import { memoryStore } from '@baton/store-memory'
import { describe, expect, test } from 'vitest'
import type { Served } from './serve.js'
import { type WireResponse, send } from './wire.js'

/** The path at which each server mounts the handler. */
const PREFIX = '/x/y'
const METADATA = '/.well-known/oauth-authorization-server'

export interface Mountings<Handler> {
  readonly authHandler: AuthHandlerFactory<Handler>
  /** Starts a server with the handler at the root. */
  readonly atRoot: (handler: Handler) => Promise<Served>
  /** Start servers with the handler at `/x/y`, by the method of mounting. */
  readonly below: Readonly<Record<string, (handler: Handler) => Promise<Served>>>
}

/** Tests where the endpoints and the metadata of `authHandler` are served if an app mounts it at the root or below a prefix. */
export function describeMounting<Handler>(name: string, { authHandler, atRoot, below }: Mountings<Handler>): void {
  const handlerWith = (options: Partial<AuthServerOptions> = {}) => {
    const tokens = createRefreshTokens({
      store: memoryStore(),
      secrets: ['a secret for the tests of mount points, 32 bytes'],
    })
    const accessTokens = jwtAccessTokens({
      issuer: 'https://issuer.example',
      audience: 'api',
      keys: [generateSigningKey()],
    })
    return authHandler(tokens, { accessTokens, clients: [{ clientId: 'web' }], ...options })
  }

  describe(`authHandler of ${name}`, () => {
    test.each([
      ['the default base path', {}, '/auth'],
      ['another base path', { basePath: '/x/y/auth' }, '/x/y/auth'],
    ])(
      'serves the metadata at the root of the origin, with the URLs that are served: %s',
      async (_, options, basePath) => {
        await withServer(atRoot(handlerWith(options)), async (get) => {
          const metadata = JSON.parse((await get(METADATA)).body) as Record<string, string>
          expect(metadata['jwks_uri']).toBe(`https://issuer.example${basePath}/jwks`)
          expect((await get(`${basePath}/jwks`)).status).toBe(200)
          expect((await get(`/x${basePath}/jwks`)).status).toBe(404)
        })
      },
    )

    describe.each(Object.entries(below))('mounted below a prefix by %s', (_, start) => {
      test.each([
        ['relative to the mount point', {}],
        ['with the mount point as its beginning', { basePath: `${PREFIX}/auth` }],
      ])('serves the endpoints at a base path %s', async (_name, options) => {
        await withServer(start(handlerWith(options)), async (get) => {
          expect((await get(`${PREFIX}/auth/jwks`)).status).toBe(200)
          expect((await get(`${PREFIX}/auth/jwks/?a=b`)).status).toBe(200)
          expect((await get(`${PREFIX}/auth/token`)).status).toBe(405)
        })
      })

      test('passes requests for all other paths to the app', async () => {
        await withServer(start(handlerWith()), async (get) => {
          for (const path of ['/auth/jwks', `${PREFIX}/jwks`, `${PREFIX}/z/auth/jwks`, `/z${PREFIX}/auth/jwks`, PREFIX])
            expect((await get(path)).status, path).toBe(404)
        })
      })

      test('does not serve the metadata, which belongs at the root of the origin (RFC 8414 section 3.1)', async () => {
        await withServer(start(handlerWith({ issuer: 'https://issuer.example' })), async (get) => {
          for (const path of [METADATA, PREFIX + METADATA, METADATA + PREFIX])
            expect((await get(path)).status, path).toBe(404)
        })
      })
    })
  })
}

async function withServer(
  starting: Promise<Served>,
  use: (get: (target: string) => Promise<WireResponse>) => Promise<void>,
): Promise<void> {
  const server = await starting
  try {
    await use((target) => send(server.port, { method: 'GET', target }))
  } finally {
    await server.close()
  }
}
