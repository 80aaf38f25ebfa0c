import { readFileSync } from 'node:fs'
import type {
  AttemptMatch,
  OperationalErrorCode,
  MintOutcome,
  RefreshEvent,
  RejectionReason,
  RevocationReason,
} from '@baton/core'
import { memoryStore } from '@baton/store-memory'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { eventMetrics, observedEndpoint, observedStore } from '../src/index.js'
import { readQuery } from './promql.js'

const page = (name: string) => readFileSync(new URL(`../../../docs/operating/${name}`, import.meta.url), 'utf8')

/** All words of a closed union: one that is forgotten does not compile. */
const all = <Word extends string>(words: Record<Word, true>) => Object.keys(words)
const MINTED = all<MintOutcome>({ rotated: true, renewed: true, retried: true, healed: true, imported: true })
const REJECTED = all<Exclude<RejectionReason, 'reuse'>>({
  malformed: true,
  unknown_key: true,
  superseded: true,
  unknown: true,
  mismatch: true,
  revoked: true,
  expired: true,
  rollback: true,
  invalid_scope: true,
  invalid_target: true,
  inactive: true,
  rate_limited: true,
  other_family: true,
})
const REVOKED = all<Exclude<RevocationReason, 'reuse'>>({
  logout: true,
  client_request: true,
  subject_request: true,
  replaced: true,
  rollback: true,
})
const ATTEMPTS = all<AttemptMatch>({ same: true, other: true, without_key: true, unknown: true })
const FAULTS = all<OperationalErrorCode>({
  store_failed: true,
  store_timeout: true,
  contended: true,
  record_key_missing: true,
  hook_failed: true,
  store_broken: true,
  issuer_failed: true,
})

/** Everything that can happen, once. */
const EVENTS = [
  { type: 'issued', offline: false },
  ...MINTED.map((type) => ({ type, by: 'grace' })),
  ...ATTEMPTS.map((attempt) => ({ type: 'retried', by: 'grace', attempt })),
  ...REJECTED.map((reason) => ({ type: 'rejected', reason })),
  { type: 'reuse' },
  ...REVOKED.map((reason) => ({ type: 'revoked', reason })),
  ...FAULTS.map((code) => ({ type: 'fault', code, operation: 'rotate' })),
]

type Labels = ReadonlyMap<string, ReadonlySet<string>>

/** What is measured, as Prometheus names it when it comes by OpenTelemetry: units in full, `_total` for counters. */
async function measured(): Promise<ReadonlyMap<string, Labels>> {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 30 })
  const telemetry = { meterProvider: new MeterProvider({ readers: [reader] }) }
  const count = eventMetrics(telemetry)
  const about = { at: 0, familyId: 'f', subject: 's', clientId: 'c', generation: 1 }
  for (const event of EVENTS) count({ ...about, ...event } as unknown as RefreshEvent)
  const store = observedStore(memoryStore(), telemetry)
  await store.create({ id: 'x', current: {}, grant: { subject: 's' }, lifetime: {}, revocation: null } as never, 0)
  await store.rotate({ id: 'x' } as never)
  const endpoint = observedEndpoint('token', async () => ({ status: 200, headers: [], body: null }), telemetry)
  await endpoint({ method: 'POST' } as never)
  await reader.forceFlush()

  const metrics = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
  return new Map(
    metrics.flatMap(({ descriptor, dataPoints }) => {
      const labels = new Map([['le', new Set<string>()]])
      for (const [name, value] of dataPoints.flatMap(({ attributes }) => Object.entries(attributes))) {
        const label = name.replaceAll('.', '_')
        labels.set(label, (labels.get(label) ?? new Set()).add(String(value)))
      }
      const suffixes = descriptor.unit === 's' ? ['_seconds_bucket', '_seconds_count', '_seconds_sum'] : ['_total']
      return suffixes.map((suffix) => [descriptor.name.replaceAll('.', '_') + suffix, labels] as const)
    }),
  )
}

/** Returns the metrics and labels of a query that no metric has. Alternatives of a regular expression count separately. */
function unmeasuredBy(text: string, metrics: ReadonlyMap<string, Labels>): string[] {
  const { selectors, labels } = readQuery(text)
  const known = selectors.flatMap(({ metric }) => [...(metrics.get(metric)?.keys() ?? [])])
  return [
    ...labels.filter((label) => !known.includes(label)),
    ...selectors.flatMap(({ metric, matchers }) => {
      const ofMetric = metrics.get(metric)
      if (ofMetric === undefined) return [metric]
      return matchers.flatMap(({ label, values }) =>
        values
          .filter((value) => ofMetric.get(label)?.has(value) !== true)
          .map((value) => `${metric} ${label} ${value}`),
      )
    }),
  ]
}

interface Alerts {
  readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[]
}

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[]
}

const alerts = (parse(page('alerts.yml')) as Alerts).groups.flatMap(({ rules }) =>
  rules.map(({ alert, expr }) => [alert, expr] as const),
)
const panels = (JSON.parse(page('grafana-dashboard.json')) as Dashboard).panels.flatMap(({ title, targets = [] }) =>
  // A variable of Grafana's own, which stands for a duration.
  targets.map(({ expr }) => [title, expr.replaceAll('$__rate_interval', '1m')] as const),
)

describe('the dashboard and the alerts', () => {
  it.each([...alerts, ...panels])('%s queries existing metrics', async (_title, expr) => {
    const metrics = await measured()
    expect(readQuery(expr).selectors.length).toBeGreaterThan(0)
    expect(unmeasuredBy(expr, metrics)).toEqual([])
  })

  it.each([
    ['baton_refresh_total', 'baton_refresh_total'],
    ['rate(baton_refreshes_total{baton_outcome=~"healed|lots"}[5m])', 'baton_refreshes_total baton_outcome lots'],
    ['sum by (reason) (baton_families_ended_total)', 'reason'],
    ['baton_faults_total{baton_outcome="lost"}', 'baton_faults_total baton_outcome lost'],
  ])('%s would be found out', async (expr, problem) => {
    expect(unmeasuredBy(expr, await measured())).toEqual([problem])
  })

  it('detects an invalid query', () => {
    expect(() => readQuery('sum(rate(baton_faults_total[5m])')).toThrow('not PromQL')
  })

  it('is valid JSON without overlapping panels', () => {
    const { panels } = JSON.parse(page('grafana-dashboard.json')) as {
      panels: { id: number; gridPos: { x: number; y: number; w: number; h: number } }[]
    }
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const taken = new Set<string>()
    for (const {
      gridPos: { x, y, w, h },
    } of panels)
      for (let column = x; column < x + w; column++)
        for (let row = y; row < y + h; row++) {
          const cell = `${String(column)} ${String(row)}`
          expect([cell, taken.has(cell) || column >= 24]).toEqual([cell, false])
          taken.add(cell)
        }
  })
})
