import type { Size, Speed } from '../measure.js'
import type { Row } from '../row.js'

/**
 * Computes one line of the table, in the same way for every row. Rate and CPU time are those of the best round, because
 * other load only makes a round slower. Latencies are those of all rounds.
 */
export interface Summary {
  readonly row: Row
  readonly rounds: number
  readonly requestsPerSecond: number
  readonly cpuMicros: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly residentBytes: number
  readonly size: Size | null
}

export function summarize(row: Row, speeds: readonly Speed[], size: Size | null): Summary {
  const latencies = Float64Array.from(speeds.flatMap((speed) => [...speed.latencies])).sort()
  return {
    row,
    rounds: speeds.length,
    requestsPerSecond: Math.max(...speeds.map((speed) => speed.requestsPerSecond)),
    cpuMicros: Math.min(...speeds.map((speed) => speed.cpuMicros)),
    p50: quantile(latencies, 0.5),
    p95: quantile(latencies, 0.95),
    p99: quantile(latencies, 0.99),
    residentBytes: Math.max(...speeds.map((speed) => speed.residentBytes)),
    size,
  }
}

function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}
