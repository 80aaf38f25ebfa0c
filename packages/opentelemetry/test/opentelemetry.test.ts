import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createRefreshTokens, type RefreshEvent, type TokenStore } from '@baton/core'
import { handler } from '@baton/express'
import {
  accessTokenCacheStats,
  accessTokenGuard,
  deriveSigningKey,
  jwtAccessTokens,
  loginEndpoint,
  tokenEndpoint,
} from '@baton/http'
import { memoryStore } from '@baton/store-memory'
import { context, SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import express from 'express'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  accessTokenCacheMetrics,
  eventMetrics,
  type EventMetricsOptions,
  observedEndpoint,
  observedStore,
} from '../src/index.js'

const SECRET = 'the secret of the telemetry tests, 48 bytes long ..'
const START = Date.UTC(2030, 0, 1)

beforeAll(() => context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()))
afterAll(() => {
  context.disable()
})

/** The real SDK, keeping what it would send. */
function sdk() {
  const spans = new InMemorySpanExporter()
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 30 })
  const meterProvider = new MeterProvider({ readers: [reader] })

  /** What is measured so far: `name{attribute=value}`, with its count. */
  async function measured(): Promise<Record<string, number>> {
    await reader.forceFlush()
    const points = exporter
      .getMetrics()
      .at(-1)!
      .scopeMetrics.flatMap(({ metrics }) => metrics)
      .flatMap(({ descriptor, dataPoints }) =>
        dataPoints.map(({ attributes, value }) => {
          const labels = Object.entries(attributes).map(([name, of]) => `${name}=${String(of)}`)
          return [`${descriptor.name}{${labels.join(',')}}`, typeof value === 'number' ? value : value.count] as const
        }),
      )
    return Object.fromEntries(points)
  }

  return { tracerProvider, meterProvider, spans, measured, exporter, reader }
}

const providersOf = ({ meterProvider, tracerProvider }: ReturnType<typeof sdk>) => ({ meterProvider, tracerProvider })

function world({ store = memoryStore(), ...options }: { store?: TokenStore } & EventMetricsOptions = {}) {
  const telemetry = sdk()
  const clock = { now: START }
  const tokens = createRefreshTokens({
    store: observedStore(store, providersOf(telemetry)),
    secrets: [SECRET],
    now: () => clock.now,
    onEvent: eventMetrics({ meterProvider: telemetry.meterProvider, ...options }),
  })
  return { ...telemetry, clock, tokens }
}

describe('eventMetrics', () => {
  it('counts logins, refreshes by outcome, and ends by reason', async () => {
    const { tokens, measured } = world()
    const { refreshToken } = await tokens.issue({ subject: 'alice' })
    const first = await tokens.rotate({ refreshToken })
    await tokens.rotate({ refreshToken })
    await tokens.rotate({ refreshToken, idempotencyKey: 'x'.repeat(30), scope: 'more' })
    await tokens.rotate({ refreshToken: 'rubbish' })
    if (first.ok) await tokens.rotate({ refreshToken: first.refreshToken })
    await tokens.rotate({ refreshToken })
    const other = await tokens.issue({ subject: 'alice', offline: true })
    await tokens.revoke({ refreshToken: other.refreshToken, reason: 'logout' })
    expect(await measured()).toMatchObject({
      'baton.families.started{baton.offline=false}': 1,
      'baton.families.started{baton.offline=true}': 1,
      'baton.refreshes{baton.outcome=rotated}': 2,
      'baton.refreshes{baton.outcome=retried,baton.retried_by=grace}': 1,
      'baton.refreshes{baton.outcome=invalid_scope}': 1,
      'baton.refreshes{baton.outcome=malformed}': 1,
      'baton.refreshes{baton.outcome=reuse}': 1,
      'baton.families.ended{baton.reason=reuse}': 1,
      'baton.families.ended{baton.reason=logout}': 1,
    })
  })

  it('counts faults by code and operation', async () => {
    const store = { ...memoryStore(), rotate: () => Promise.reject(new Error('connection refused')) }
    const { tokens, measured } = world({ store })
    const { refreshToken } = await tokens.issue({ subject: 'alice' })
    await expect(tokens.rotate({ refreshToken })).rejects.toThrow()
    expect(await measured()).toMatchObject({ 'baton.faults{error.type=store_failed,baton.operation=store.rotate}': 1 })
  })

  it('counts clients that are not in clientIds as _OTHER', async () => {
    const { tokens, measured } = world({ clientIds: ['app'] })
    for (const clientId of ['app', 'made-up-1', 'made-up-2']) await tokens.rotate({ refreshToken: 'x', clientId })
    const counted = Object.entries(await measured()).filter(([, count]) => count > 0)
    expect(Object.fromEntries(counted)).toEqual({
      'baton.refreshes{baton.outcome=malformed,baton.client_id=app}': 1,
      'baton.refreshes{baton.outcome=malformed,baton.client_id=_OTHER}': 2,
    })
  })

  it('counts retries by attempt, and a family whose generations another attempt keeps retrying', async () => {
    const { tokens, measured } = world({ clientIds: ['app'], secondHolders: { generations: 2 } })
    let { refreshToken } = await tokens.issue({ subject: 'alice', clientId: 'app' })
    for (const round of ['1', '2', '3']) {
      const key = `owner-${round.repeat(30)}`
      const rotated = await tokens.rotate({ refreshToken, clientId: 'app', idempotencyKey: key })
      await tokens.rotate({ refreshToken, clientId: 'app', idempotencyKey: key })
      await tokens.rotate({ refreshToken, clientId: 'app' })
      await tokens.rotate({ refreshToken, clientId: 'app', idempotencyKey: `other-${round.repeat(30)}` })
      if (!rotated.ok) throw new Error(rotated.reason)
      refreshToken = rotated.refreshToken
    }
    expect(await measured()).toMatchObject({
      'baton.retries{baton.attempt=same,baton.client_id=app}': 3,
      'baton.retries{baton.attempt=other,baton.client_id=app}': 3,
      'baton.retries{baton.attempt=without_key,baton.client_id=app}': 3,
      'baton.families.second_holder_suspected{baton.client_id=app}': 1,
      'baton.families.second_holder_suspected{baton.client_id=_OTHER}': 0,
    })
  })

  it('starts the counters of rare events at zero for each client', async () => {
    const { measured } = world({ clientIds: ['app'] })
    expect(await measured()).toMatchObject({
      'baton.families.ended{baton.reason=reuse,baton.client_id=app}': 0,
      'baton.families.ended{baton.reason=reuse,baton.client_id=_OTHER}': 0,
      'baton.refreshes{baton.outcome=rollback,baton.client_id=app}': 0,
      'baton.faults{error.type=record_key_missing,baton.operation=rotate}': 0,
    })
  })

  it('increments the counters that started at zero', async () => {
    const { tokens, measured } = world()
    const { refreshToken } = await tokens.issue({ subject: 'alice' })
    const first = await tokens.rotate({ refreshToken })
    if (first.ok) await tokens.rotate({ refreshToken: first.refreshToken })
    await tokens.rotate({ refreshToken })
    const series = Object.entries(await measured()).filter(([name]) => name.includes('=reuse'))
    expect(series.map(([, count]) => count)).toEqual([1, 1])
  })

  it('counts every type of event', async () => {
    const telemetry = sdk()
    const count = eventMetrics({ meterProvider: telemetry.meterProvider })
    const of = { at: START, familyId: 'f', subject: 's', clientId: 'c', generation: 1 } as never as object
    const types = [
      'issued',
      'rotated',
      'renewed',
      'retried',
      'healed',
      'imported',
      'rejected',
      'reuse',
      'revoked',
      'fault',
    ]
    for (const type of types) {
      const before = Object.values(await telemetry.measured().catch(() => ({}))).reduce((sum, value) => sum + value, 0)
      count({ ...of, type } as unknown as RefreshEvent)
      const after = Object.values(await telemetry.measured()).reduce((sum, value) => sum + value, 0)
      expect([type, after > before]).toEqual([type, true])
    }
  })
})

describe('accessTokenCacheMetrics', () => {
  it('records checks by result, evictions and entries', async () => {
    const { meterProvider, measured } = sdk()
    const accessTokens = jwtAccessTokens({
      ...{ issuer: 'https://login.example', audience: 'https://api.example', keys: [deriveSigningKey(SECRET)] },
    })
    accessTokenCacheMetrics(() => accessTokenCacheStats(accessTokens), { meterProvider })
    const guard = accessTokenGuard({ accessTokens, now: () => START, cache: { entries: 1 } })
    const { family } = await world().tokens.issue({ subject: 'alice' })
    const grant = {
      family,
      scope: '',
      audience: [],
      claims: {},
      confirmation: null,
      now: START,
      maxLifetimeSeconds: 60,
    }
    const [one = '', other = ''] = await Promise.all(
      [1, 2].map(async () => (await accessTokens.mint(grant)).accessToken),
    )
    const forged = one.slice(0, one.lastIndexOf('.')) + other.slice(other.lastIndexOf('.'))
    for (const token of [one, one, other, forged, forged])
      await guard({
        ...{ method: 'GET', url: '/', remoteAddress: null, encrypted: true, body: { kind: 'parsed', value: null } },
        headers: { authorization: [`Bearer ${token}`] },
      })
    expect(await measured()).toEqual({
      'baton.access_tokens.checks{baton.result=cached}': 1,
      'baton.access_tokens.checks{baton.result=verified}': 3,
      'baton.access_tokens.checks{baton.result=rejected}': 1,
      'baton.access_tokens.cache.evictions{}': 1,
      'baton.access_tokens.cache.entries{}': 1,
    })
  })
})

describe('observedStore', () => {
  it('records a span and a duration for every call, and returns the result of the store', async () => {
    const { tokens, spans, measured } = world()
    const { refreshToken, family } = await tokens.issue({ subject: 'alice' })
    await tokens.rotate({ refreshToken })
    await tokens.find(family.id)
    await tokens.list({ subject: 'alice' })
    await tokens.revoke({ refreshToken })
    await tokens.listRevoked()
    await tokens.purge()
    await tokens.consumeOnce({ key: 'k', expiresAt: START + 1000, purpose: 'test' })
    // A revocation reads first.
    const operations = ['create', 'rotate', 'find', 'list', 'find', 'revoke', 'listRevoked', 'purge', 'claimOnce']
    expect(spans.getFinishedSpans().map(({ name }) => name)).toEqual(operations.map((each) => `baton.store ${each}`))
    for (const { kind, attributes } of spans.getFinishedSpans().slice(0, 3))
      expect([kind, attributes['baton.family_id']]).toEqual([SpanKind.CLIENT, family.id])
    const counts = await measured()
    for (const each of operations)
      expect(counts[`baton.store.duration{baton.operation=${each}}`]).toBe(each === 'find' ? 2 : 1)
  })

  it('records the error code of the driver without its message, and throws the same error', async () => {
    const refusal = Object.assign(new Error('connect ECONNREFUSED password=hunter2'), { code: 'ECONNREFUSED' })
    const telemetry = sdk()
    const store = observedStore({ ...memoryStore(), find: () => Promise.reject(refusal) }, providersOf(telemetry))
    await expect(store.find('x' as never)).rejects.toBe(refusal)
    const [span] = telemetry.spans.getFinishedSpans()
    expect(span).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': 'ECONNREFUSED' },
      events: [],
    })
    expect(JSON.stringify([span!.attributes, span!.status])).not.toContain('hunter2')
    expect(await telemetry.measured()).toEqual({
      'baton.store.duration{baton.operation=find,error.type=ECONNREFUSED}': 1,
    })
  })

  it('has no effect without an OpenTelemetry SDK', async () => {
    const store = observedStore(memoryStore())
    expect(await store.find('x' as never)).toBeNull()
    eventMetrics()({ type: 'fault', at: START, code: 'store_failed', operation: 'store.find' })
  })
})

describe('a whole server', () => {
  /** Signs in, refreshes, replays, sends rubbish, over HTTP. Returns everything that was sent or received as a secret. */
  async function play(options: ReturnType<typeof world>): Promise<string[]> {
    const { tokens, tracerProvider, meterProvider } = options
    const accessTokens = jwtAccessTokens({
      issuer: 'http://127.0.0.1',
      audience: 'api',
      keys: [deriveSigningKey(SECRET)],
    })
    const observed = { tracerProvider, meterProvider }
    const app = express()
    const authenticate = async () => ({ subject: 'alice', clientId: 'app' })
    app.post(
      '/login',
      handler(observedEndpoint('login', loginEndpoint(tokens, { accessTokens, authenticate }), observed)),
    )
    app.use(
      '/token',
      handler(
        observedEndpoint('token', tokenEndpoint(tokens, { accessTokens, clients: [{ clientId: 'app' }] }), observed),
      ),
    )
    const server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const origin = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`
    const secrets: string[] = []
    const refresh = async (refreshToken: string, path = '/token') => {
      secrets.push(refreshToken)
      const response = await fetch(origin + path, {
        method: 'POST',
        body: new URLSearchParams({ grant_type: 'refresh_token', client_id: 'app', refresh_token: refreshToken }),
      })
      const body = (await response.json()) as { access_token: string; refresh_token?: string }
      if (response.ok) secrets.push(body.access_token)
      return body.refresh_token ?? refreshToken
    }
    try {
      const signedIn = await fetch(`${origin}/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ username: 'alice', password: 'wonderland' }),
      })
      const { refresh_token } = (await signedIn.json()) as { refresh_token: string }
      secrets.push('wonderland')
      const next = await refresh(refresh_token)
      await refresh(next, `/token?refresh_token=${refresh_token}`)
      await refresh(refresh_token)
      await refresh('rubbish-that-somebody-sent')
      await fetch(`${origin}/token`, { method: 'PROPFIND' })
      return secrets
    } finally {
      server.close()
    }
  }

  it('records a span for each request with its store calls and events, without secrets', async () => {
    const here = world()
    const secrets = await play(here)
    const spans = here.spans.getFinishedSpans()
    const endpoints = spans.filter(({ name }) => name.startsWith('baton.endpoint'))
    expect(endpoints.map(({ name, attributes }) => [name, attributes['http.response.status_code']])).toEqual([
      ['baton.endpoint login', 200],
      ['baton.endpoint token', 200],
      ['baton.endpoint token', 200],
      ['baton.endpoint token', 400],
      ['baton.endpoint token', 400],
      ['baton.endpoint token', 405],
    ])
    const [, rotated, , replayed] = endpoints
    const below = spans.filter(({ parentSpanContext }) => parentSpanContext?.spanId === rotated!.spanContext().spanId)
    expect(below.map(({ name }) => name)).toEqual(['baton.store rotate'])
    expect(rotated!.events.map(({ name }) => name)).toEqual(['baton.rotated'])
    expect(replayed!.events.map(({ name }) => name)).toEqual(['baton.reuse'])
    expect(endpoints.at(-1)!.attributes['http.request.method']).toBe('_OTHER')

    await here.reader.forceFlush()
    const everything = JSON.stringify([
      spans.map(({ name, attributes, events, status, links }) => ({ name, attributes, events, status, links })),
      here.exporter.getMetrics().map(({ scopeMetrics }) => scopeMetrics),
    ])
    expect(secrets.length).toBeGreaterThan(6)
    for (const secret of [...secrets, SECRET, 'alice']) expect(everything).not.toContain(secret)
    expect(everything).not.toMatch(/brt_/)
  })

  it('marks the span of a 503 response as failed', async () => {
    const telemetry = sdk()
    const answer = { status: 503, headers: [], body: null }
    const endpoint = observedEndpoint('token', async () => answer, providersOf(telemetry))
    expect(await endpoint({ method: 'POST' } as never)).toBe(answer)
    expect(telemetry.spans.getFinishedSpans()).toMatchObject([
      { status: { code: SpanStatusCode.ERROR }, attributes: { 'error.type': '503' } },
    ])
  })
})
