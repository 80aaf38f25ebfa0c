import type { Summary } from './summary.js'

const WIDTH = 720
const LABEL_WIDTH = 210
const BAR_HEIGHT = 18
const GAP = 8

/** Renders bars of requests per second, in the colours of the documentation, for light and dark pages. */
export function renderPlot(summaries: readonly Summary[]): string {
  const measured = summaries.filter(({ rounds }) => rounds > 0)
  const most = Math.max(...measured.map(({ requestsPerSecond }) => requestsPerSecond))
  const bars = measured.map(({ row, requestsPerSecond }, index) => {
    const y = GAP + index * (BAR_HEIGHT + GAP)
    const length = Math.max(1, (requestsPerSecond / most) * (WIDTH - LABEL_WIDTH - 80))
    const kind =
      row.implementation === 'baton'
        ? 'ours'
        : row.implementation === 'bare' || row.implementation === 'floor'
          ? 'floor'
          : 'other'
    const middle = y + BAR_HEIGHT - 5
    return (
      `<text x="${String(LABEL_WIDTH - 8)}" y="${String(middle)}" text-anchor="end">${row.name}</text>` +
      `<rect class="${kind}" x="${String(LABEL_WIDTH)}" y="${String(y)}" width="${length.toFixed(1)}" height="${String(BAR_HEIGHT)}" rx="3"/>` +
      `<text x="${(LABEL_WIDTH + length + 6).toFixed(1)}" y="${String(middle)}">${requestsPerSecond.toFixed(0)}</text>`
    )
  })
  const height = GAP + measured.length * (BAR_HEIGHT + GAP)
  return `<svg xmlns="http://www.w3.org/2000/svg" class="baton-picture" viewBox="0 0 ${String(WIDTH)} ${String(height)}" role="img" aria-label="Rotations per second">
<style>
  .baton-picture { --ink: #1f2328; --line: #818b98; --box: #d1d9e0; --good: #1a7f37 }
  @media (prefers-color-scheme: dark) { .baton-picture { --ink: #f0f6fc; --line: #9198a1; --box: #3d444d; --good: #3fb950 } }
  .baton-picture text { font: 12px system-ui, sans-serif; fill: var(--ink) }
  .baton-picture .ours { fill: var(--good) } .baton-picture .other { fill: var(--line) } .baton-picture .floor { fill: var(--box) }
</style>
${bars.join('\n')}
</svg>
`
}
