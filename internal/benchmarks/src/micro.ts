import { createRefreshTokens, type RefreshTokens } from '@baton/core'
import {
  type AccessTokens,
  generateSigningKey,
  jwtAccessTokens,
  type PlainRequest,
  rateLimits,
  tokenEndpoint,
  sealedAccessTokens,
} from '@baton/http'
import { memoryStore } from '@baton/store-memory'
import { Bench } from 'tinybench'
import { openEngine } from './engine.js'
import { startEngines } from './engines.js'
import { findRows } from './row.js'
import { CLIENT_ID, FORM, PATH } from './subject.js'
import { storeOn } from './subjects/baton.js'
import { type Floor, floorOn } from './subjects/floor.js'

/* Measures the parts of a rotation in one process, one after the other and without sockets. */

const SECRET = 'benchmarks only: thirty-two bytes and more'
const issuing = { issuer: 'https://login.example', audience: 'https://api.example' }
const kinds: Record<string, AccessTokens> = {
  sealed: sealedAccessTokens({ ...issuing, secrets: [`${SECRET}, another`] }),
  ES256: jwtAccessTokens({ ...issuing, keys: [generateSigningKey()] }),
  EdDSA: jwtAccessTokens({ ...issuing, keys: [generateSigningKey('EdDSA')] }),
}

const tokens = createRefreshTokens({ store: memoryStore(), secrets: [SECRET] })
const bench = new Bench({ time: Number(process.argv[2] ?? 500), warmupTime: 200 })

const inspected = await tokens.issue({ subject: 'user-1', clientId: CLIENT_ID })
bench.add('inspect: parse, authenticate, find, compare, decide', () => tokens.inspect(inspected.refreshToken))
bench.add('inspect: garbage', () => tokens.inspect(`brt_${'x'.repeat(112)}`))
bench.add('issue', () => tokens.issue({ subject: 'user-1', clientId: CLIENT_ID }))
// Two rows for each store: a bare swap on its engine, and a rotation.
const rows = findRows(['floor/node/'])
const { engines, stop } = await startEngines(rows)
for (const row of rows) {
  const engine = await openEngine(row, engines)
  bench.add(`floor: ${String(row.store)}`, await swapping(await floorOn(engine)))
  const store = await storeOn(engine)
  bench.add(`rotate: ${String(row.store)}`, await rotating(createRefreshTokens({ store, secrets: [SECRET] })))
}
for (const [kind, accessTokens] of Object.entries(kinds)) {
  const grant = {
    family: inspected.family,
    scope: '',
    audience: [],
    claims: {},
    confirmation: null,
    maxLifetimeSeconds: 900,
  }
  const mint = () => accessTokens.mint({ ...grant, now: Date.now() })
  const { accessToken } = await mint()
  bench.add(`${kind}: mint`, mint)
  bench.add(`${kind}: verify`, () => accessTokens.verify(accessToken, Date.now()))
  bench.add(`${kind}: the endpoint, from plain request to plain response`, await refreshing(accessTokens))
}

await bench.run()
console.table(
  bench.tasks.map(({ name, result }) => {
    const { p50, p99 } = 'latency' in result ? result.latency : { p50: NaN, p99: NaN }
    return { name, 'p50 µs': Number((p50 * 1000).toFixed(1)), 'p99 µs': Number((p99 * 1000).toFixed(1)) }
  }),
)
await stop()
// Exit now, or the clients of stopped engines would try to reconnect.
process.exit()

/** Refreshes one chain. */
async function rotating(on: RefreshTokens): Promise<() => Promise<void>> {
  let { refreshToken } = await on.issue({ subject: 'user-1', clientId: CLIENT_ID })
  return async () => {
    const response = await on.rotate({ refreshToken, clientId: CLIENT_ID })
    if (!response.ok) throw new Error(response.reason)
    ;({ refreshToken } = response)
  }
}

async function swapping(floor: Floor): Promise<() => Promise<void>> {
  await floor.create('a-session', '0', 'user-1')
  let hash = 0
  return async () => {
    if (!(await floor.swap('a-session', String(hash), String(hash + 1)))) throw new Error('the swap was rejected')
    hash += 1
  }
}

async function refreshing(accessTokens: AccessTokens): Promise<() => Promise<void>> {
  const clients = [{ clientId: CLIENT_ID }]
  const endpoint = tokenEndpoint(tokens, { accessTokens, clients, rateLimit: rateLimits({ points: 1_000_000_000 }) })
  let { refreshToken } = await tokens.issue({ subject: 'user-1', clientId: CLIENT_ID })
  return async () => {
    const form = Buffer.from(FORM + refreshToken)
    const request: PlainRequest = {
      method: 'POST',
      url: PATH,
      headers: { host: ['127.0.0.1'], 'content-type': ['application/x-www-form-urlencoded'] },
      body: { kind: 'stream', read: async () => form },
      remoteAddress: '127.0.0.1',
      encrypted: false,
    }
    const { status, body } = await endpoint(request)
    if (status !== 200 || body === null) throw new Error(`the endpoint returned ${String(status)}`)
    ;({ refresh_token: refreshToken } = JSON.parse(body) as { refresh_token: string })
  }
}
