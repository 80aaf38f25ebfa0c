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

export function renderMarkdown(summaries: readonly Summary[]): string {
  const lines = summaries.map(({ row, size, ...summary }) => [
    row.name,
    formatNumber(summary.requestsPerSecond, 0),
    formatNumber(summary.cpuMicros, 0),
    formatNumber(summary.p50, 2),
    formatNumber(summary.p95, 2),
    formatNumber(summary.p99, 2),
    formatNumber(summary.residentBytes / 2 ** 20, 0),
    formatNumber(size?.commands, 2),
    formatNumber(size?.bytesPerSession, 0),
    formatNumber(size?.bytesPerRotation, 0),
  ])
  const rule = HEAD.map((_, index) => (index === 0 ? '---' : '---:'))
  return [HEAD, rule, ...lines].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}

function formatNumber(value: number | undefined, digits: number): string {
  return value === undefined || !Number.isFinite(value) ? '' : value.toFixed(digits)
}
