import { createPublicKey, verify } from 'node:crypto'
import { accessTokenCacheStats, accessTokenGuard, type PlainRequest } from '@baton/http'
import { createVerifier } from 'fast-jwt'
import { createAccessTokens, issueAccessTokens } from './tokens.js'

/* What needs no server: the first verification of a token, and very many invalid tokens. */

function requestWith(accessToken: string): PlainRequest {
  return {
    ...{ method: 'GET', url: '/orders', remoteAddress: '127.0.0.1', encrypted: false },
    headers: { host: ['127.0.0.1'], authorization: [`Bearer ${accessToken}`] },
    body: { kind: 'parsed', value: undefined },
  }
}

/** Returns the median CPU time in microseconds of verifying tokens that have not been seen before, by what verifies them. */
export async function measureFirstSight(turns: number, tokensPerTurn: number): Promise<ReadonlyMap<string, number>> {
  const { jwt } = createAccessTokens()
  const [jwk = {}] = jwt.jwks().keys
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  const material = { key, dsaEncoding: 'ieee-p1363' } as const
  const pem = key.export({ type: 'spki', format: 'pem' }).toString()
  const guard = accessTokenGuard({ accessTokens: jwt })
  const fastJwt = createVerifier({ key: pem, algorithms: ['ES256'], cache: true })
  const verifiers: Readonly<Record<string, (token: string, decoded: readonly [Buffer, Buffer]) => unknown>> = {
    'crypto.verify, input and signature decoded before': (_token, [input, signature]) =>
      verify('sha256', input, material, signature),
    'crypto.verify, and decoding the parts': (token) => verify('sha256', ...decode(token, material)),
    'Baton guard': (token) => guard(requestWith(token)),
    'fast-jwt with its cache': (token) => fastJwt(token) as unknown,
  }
  const figures = new Map<string, number[]>(Object.keys(verifiers).map((name) => [name, []]))
  for (let turn = -WARM_TURNS; turn < turns; turn += 1) {
    const tokens = await issueAccessTokens(jwt, tokensPerTurn)
    const decoded = tokens.map((token) => [token, decodeParts(token)] as const)
    for (const [name, run] of Object.entries(verifiers)) {
      const before = process.cpuUsage()
      for (const [token, parts] of decoded) await run(token, parts)
      const { user, system } = process.cpuUsage(before)
      if (turn >= 0) figures.get(name)?.push((user + system) / tokensPerTurn)
    }
  }
  return new Map([...figures].map(([name, values]) => [name, median(values)]))
}

const WARM_TURNS = 5

function decodeParts(token: string): readonly [Buffer, Buffer] {
  const end = token.lastIndexOf('.')
  return [Buffer.from(token.slice(0, end)), Buffer.from(token.slice(end + 1), 'base64url')]
}

function decode<Material>(token: string, material: Material): [Buffer, Material, Buffer] {
  const [input, signature] = decodeParts(token)
  return [input, material, signature]
}

export function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? NaN
}

export interface GarbageReport {
  readonly hitRate: number
  readonly heapBytes: number
  readonly cpuMicros: number
}

const GOOD_TOKENS = 1000
const GARBAGE_PER_REQUEST = 10

/** Sends invalid tokens, each different, and one valid token after every ten of them. Every 20th is a JWT with a wrong signature. */
export async function measureGarbage(count: number): Promise<GarbageReport> {
  const { jwt } = createAccessTokens()
  const good = await issueAccessTokens(jwt, GOOD_TOKENS)
  const guard = accessTokenGuard({ accessTokens: jwt })
  for (const token of good) await guard(requestWith(token))
  const { hits: hitsBefore } = accessTokenCacheStats(jwt)
  const heapBefore = heapBytes()
  const startedAt = process.cpuUsage()
  let valid = 0
  for (let index = 0; index < count; index += 1) {
    await guard(requestWith(garbage(index, good[0] ?? '')))
    if (index % GARBAGE_PER_REQUEST === 0) {
      await guard(requestWith(good[valid % good.length] ?? ''))
      valid += 1
    }
  }
  const { user, system } = process.cpuUsage(startedAt)
  const { hits } = accessTokenCacheStats(jwt)
  return {
    hitRate: (hits - hitsBefore) / valid,
    heapBytes: heapBytes() - heapBefore,
    cpuMicros: (user + system) / (count + valid),
  }
}

function garbage(index: number, good: string): string {
  const random = Buffer.from(String(index).padStart(64, 'x')).toString('base64url').slice(0, 86)
  return index % 20 === 0
    ? `${good.slice(0, good.lastIndexOf('.'))}.${Buffer.from(String(index).padStart(64, '0')).toString('base64url')}`
    : `${random}.${random}.${random}`
}

/** Needs `--expose-gc`; without it, the heap contains garbage of this program. */
function heapBytes(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
