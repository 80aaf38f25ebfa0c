import { readFileSync } from 'node:fs'
import type { RefreshEvent } from '@baton/core'
import { memoryStore } from '@baton/store-memory'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { describe, expect, it } from 'vitest'
import { eventMetrics, observedEndpoint, observedStore } from '../src/index.js'

const page = (name: string) => readFileSync(new URL(`../../../docs/operating/${name}`, import.meta.url), 'utf8')

/** As Prometheus names what comes by OpenTelemetry: units in full, `_total` for counters, and each name's labels. */
async function prometheusNames(): Promise<Map<string, Set<string>>> {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 30 })
  const telemetry = { meterProvider: new MeterProvider({ readers: [reader] }) }
  const count = eventMetrics(telemetry)
  const about = { at: 0, familyId: 'f', subject: 's', clientId: 'c' }
  const events = [
    { type: 'issued' },
    { type: 'reuse' },
    { type: 'revoked', reason: 'logout' },
    { type: 'refused', reason: 'unknown_key', objection: 'inactive' },
    { type: 'fault', code: 'store_failed', operation: 'store.find' },
  ]
  for (const event of events) count({ ...about, ...event } as unknown as RefreshEvent)
  await observedStore(memoryStore(), telemetry).find('x' as never)
  const endpoint = observedEndpoint('token', async () => ({ status: 200, headers: [], body: null }), telemetry)
  await endpoint({ method: 'POST' } as never)
  await reader.forceFlush()

  const names = new Map<string, Set<string>>()
  for (const { descriptor, dataPoints } of exporter
    .getMetrics()
    .flatMap(({ scopeMetrics }) => scopeMetrics)
    .flatMap(({ metrics }) => metrics)) {
    const base = descriptor.name.replaceAll('.', '_')
    const labels = dataPoints
      .flatMap(({ attributes }) => Object.keys(attributes))
      .map((name) => name.replaceAll('.', '_'))
    const suffixes = descriptor.unit === 's' ? ['_seconds_bucket', '_seconds_count', '_seconds_sum'] : ['_total']
    for (const suffix of suffixes) names.set(base + suffix, new Set([...labels, 'le']))
  }
  return names
}

describe('the dashboard and the alerts', () => {
  it.each(['grafana-dashboard.json', 'alerts.yml'])('%s asks for nothing that is not measured', async (name) => {
    const names = await prometheusNames()
    const text = page(name)
    const asked = [...text.matchAll(/\bbaton_\w+_(?:total|bucket|count|sum)\b/g)].map(([metric]) => metric)
    expect(asked.length).toBeGreaterThan(5)
    expect(asked.filter((metric) => !names.has(metric))).toEqual([])
    const labels = new Set([...names.values()].flatMap((each) => [...each]))
    const used = [...text.matchAll(/by \(([^)]*)\)|[{,]\s*(\w+)(?:=~|!~|=|!=)\\?"/g)].flatMap(([, by, one]) =>
      (by ?? one ?? '').split(/,\s*/),
    )
    expect(used.length).toBeGreaterThan(5)
    expect(used.filter((label) => !labels.has(label))).toEqual([])
  })

  it('the dashboard is JSON, and no two panels lie on each other', () => {
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
