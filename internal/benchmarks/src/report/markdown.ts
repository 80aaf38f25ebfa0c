import type { Summary } from './summary.js'

const HEAD = [
  'row',
  'requests/s',
  'CPU µs',
  'p50 ms',
  'p95 ms',
  'p99 ms',
  'RSS MB',
  'commands',
  'B/session',
  'B left/rotation',
]

export function markdownOf(summaries: readonly Summary[]): string {
  const lines = summaries.map(({ row, size, ...summary }) => [
    row.name,
    shown(summary.requestsPerSecond, 0),
    shown(summary.cpuMicros, 0),
    shown(summary.p50, 2),
    shown(summary.p95, 2),
    shown(summary.p99, 2),
    shown(summary.residentBytes / 2 ** 20, 0),
    shown(size?.commands, 2),
    shown(size?.bytesPerSession, 0),
    shown(size?.bytesPerRotation, 0),
  ])
  const rule = HEAD.map((_, index) => (index === 0 ? '---' : '---:'))
  return [HEAD, rule, ...lines].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}

function shown(value: number | undefined, digits: number): string {
  return value === undefined || !Number.isFinite(value) ? '' : value.toFixed(digits)
}
