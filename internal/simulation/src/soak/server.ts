import { createServer } from 'node:http'
import { createRefreshTokens } from '@baton/core'
import { type Endpoint, loginEndpoint, tokenEndpoint, toNodeHandler } from '@baton/http'
import { redisStore } from '@baton/store-redis'
import { Cluster } from 'ioredis'
import { accessTokens, CLIENT, type WorkerOptions, policy, SECRETS } from './shared.js'

/** One process of the service. It may be killed at any time. */
export function serve({ port, nodes }: WorkerOptions): void {
  const redis = new Cluster(
    nodes.map((nodePort) => ({ host: '127.0.0.1', port: nodePort })),
    { redisOptions: { maxRetriesPerRequest: 1 } },
  )
  redis.on('error', () => undefined)
  const tokens = createRefreshTokens({ store: redisStore(redis), secrets: SECRETS, policy, storeTimeoutSeconds: 2 })
  const shared = { rateLimit: false, onError: () => undefined } as const
  const authenticate = async ({ username }: Readonly<Record<string, unknown>>) => ({ subject: String(username) })
  const endpoints: Readonly<Record<string, Endpoint>> = {
    '/login': loginEndpoint(tokens, {
      accessTokens,
      authenticate,
      defaults: { clientId: CLIENT },
      ...shared,
    }),
    '/oauth/token': tokenEndpoint(tokens, {
      accessTokens,
      clients: [{ clientId: CLIENT }],
      ...shared,
    }),
  }
  createServer((request, response) => {
    const endpoint = endpoints[request.url ?? '']
    if (endpoint === undefined) response.writeHead(404).end()
    else toNodeHandler(endpoint)(request, response)
  }).listen(port, '127.0.0.1', () => process.send?.('listening'))
  // Reports the memory usage to the parent, and exits with it.
  process.on('message', () => process.send?.({ rss: process.memoryUsage().rss }))
  process.on('disconnect', () => process.exit())
}
