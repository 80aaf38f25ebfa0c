import { readFileSync, writeFileSync } from 'node:fs'
import { renderMarkdown } from './report/markdown.js'
import { renderPlot } from './report/plot.js'
import type { Summary } from './report/summary.js'

/*
 * Combines several runs into one table and one plot: `node internal/benchmarks/dist/join.js name run.json … [-- rows of
 * the plot]`. If a row occurs more than once, its fastest run is used, because other load only makes it slower.
 */

const [name = 'joined', ...rest] = process.argv.slice(2)
const end = rest.includes('--') ? rest.indexOf('--') : rest.length
const [files, plotRows] = [rest.slice(0, end), rest.slice(end + 1)]

const byName = new Map<string, Summary>()
for (const file of files) {
  for (const summary of JSON.parse(readFileSync(file, 'utf8')) as Summary[]) {
    const { requestsPerSecond } = byName.get(summary.row.name) ?? { requestsPerSecond: 0 }
    if (summary.requestsPerSecond > requestsPerSecond) byName.set(summary.row.name, summary)
  }
}
const all = [...byName.values()]
const plotted = plotRows.length === 0 ? all : plotRows.flatMap((row) => byName.get(row) ?? [])
writeFileSync(`${name}.md`, renderMarkdown(all))
writeFileSync(`${name}.json`, `${JSON.stringify(all, null, 2)}\n`)
writeFileSync(`${name}.svg`, renderPlot(plotted))
