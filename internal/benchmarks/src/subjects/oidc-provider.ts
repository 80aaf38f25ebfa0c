import { createServer } from 'node:http'
import { Provider, type Adapter, type AdapterPayload } from 'oidc-provider'
import type { Engine } from '../engine.js'
import { CLIENT_ID, FORM, inParallel, listen, type Subject, createSubjectName } from '../subject.js'

const REFRESH_SECONDS = 30 * 86_400

/**
 * `oidc-provider` with rotation, a public client and opaque access tokens, its default. Without `openid` it does not
 * sign an ID token. It detects reuse and revokes the grant; there are no retries. Its memory adapter is limited to a
 * thousand entries, so that a map is used instead. The Redis adapter follows the example in its repository.
 */
export async function oidcProvider(engine: Engine): Promise<Subject> {
  // The provider needs the address of the server, so that the server listens first.
  const server = createServer()
  const port = await listen(server)
  const provider = new Provider(`http://127.0.0.1:${String(port)}`, {
    adapter: adapterOn(engine),
    clients: [
      {
        client_id: CLIENT_ID,
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: ['http://127.0.0.1/callback'],
      },
    ],
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    rotateRefreshToken: true,
    scopes: ['offline_access', 'api'],
    ttl: { AccessToken: 900, RefreshToken: REFRESH_SECONDS, Grant: REFRESH_SECONDS },
    features: { devInteractions: { enabled: false } },
  })
  const answer = provider.callback()
  server.on('request', (request, response) => void answer(request, response))

  return {
    target: { port, path: '/token', form: FORM },
    issue: (count) =>
      inParallel(count, async (index) => {
        const accountId = createSubjectName(index)
        const client = await provider.Client.find(CLIENT_ID)
        if (client === undefined) throw new Error('oidc-provider does not find its client')
        const grant = new provider.Grant({ accountId, clientId: CLIENT_ID })
        grant.addOIDCScope('offline_access api')
        const grantId = await grant.save()
        const token = new provider.RefreshToken({
          accountId,
          client,
          grantId,
          gty: 'authorization_code',
          scope: 'offline_access api',
          rotations: 0,
        })
        return token.save()
      }),
  }
}

const GRANTABLE = new Set(['AccessToken', 'RefreshToken', 'AuthorizationCode'])

function adapterOn(engine: Engine): (model: string) => Adapter {
  return engine.kind === 'redis' ? redisAdapter(engine.client) : mapAdapter()
}

function mapAdapter(): (model: string) => Adapter {
  const entries = new Map<string, AdapterPayload>()
  return (model) => {
    const key = (id: string) => `${model}:${id}`
    return {
      async upsert(id, payload) {
        entries.set(key(id), payload)
      },
      find: async (id) => entries.get(key(id)),
      async consume(id) {
        const payload = entries.get(key(id))
        if (payload !== undefined) payload['consumed'] = Math.floor(Date.now() / 1000)
      },
      async destroy(id) {
        entries.delete(key(id))
      },
      revokeByGrantId: async () => undefined,
      findByUid: async () => undefined,
      findByUserCode: async () => undefined,
    }
  }
}

function redisAdapter(client: Extract<Engine, { kind: 'redis' }>['client']): (model: string) => Adapter {
  return (model) => {
    const key = (id: string) => `oidc:${model}:${id}`
    const grantKey = (grantId: string) => `oidc:grant:${grantId}`
    const consumable = model === 'RefreshToken'
    return {
      async upsert(id, payload, expiresIn = REFRESH_SECONDS) {
        const multi = client.multi()
        const text = JSON.stringify(payload)
        if (consumable) {
          multi.hset(key(id), { payload: text })
          multi.expire(key(id), expiresIn)
        } else multi.set(key(id), text, 'EX', expiresIn)
        if (GRANTABLE.has(model) && payload.grantId !== undefined) {
          multi.rpush(grantKey(payload.grantId), key(id))
          multi.expire(grantKey(payload.grantId), REFRESH_SECONDS)
        }
        await multi.exec()
      },
      async find(id) {
        if (!consumable) {
          const text = await client.get(key(id))
          return text === null ? undefined : (JSON.parse(text) as AdapterPayload)
        }
        const { payload, ...rest } = await client.hgetall(key(id))
        return payload === undefined ? undefined : { ...rest, ...(JSON.parse(payload) as AdapterPayload) }
      },
      async consume(id) {
        await client.hset(key(id), 'consumed', Math.floor(Date.now() / 1000))
      },
      async destroy(id) {
        await client.del(key(id))
      },
      async revokeByGrantId(grantId) {
        const keys = await client.lrange(grantKey(grantId), 0, -1)
        await client.del(grantKey(grantId), ...keys)
      },
      findByUid: async () => undefined,
      findByUserCode: async () => undefined,
    }
  }
}
