import { readFileSync, writeFileSync } from 'node:fs'
import { markdownOf } from './report/markdown.js'
import { plotOf } from './report/plot.js'
import type { Summary } from './report/summary.js'

/*
 * Writes one table and one plot for several runs: `node internal/benchmarks/dist/join.js name run.json … [-- rows of the plot]`. Of a row that
 * is in several of them the fastest one counts, for every row alike: neighbours on the machine only ever take away.
 */

const [name = 'joined', ...rest] = process.argv.slice(2)
const end = rest.includes('--') ? rest.indexOf('--') : rest.length
const [files, shown] = [rest.slice(0, end), rest.slice(end + 1)]

const byName = new Map<string, Summary>()
for (const file of files) {
  for (const summary of JSON.parse(readFileSync(file, 'utf8')) as Summary[]) {
    const { requestsPerSecond } = byName.get(summary.row.name) ?? { requestsPerSecond: 0 }
    if (summary.requestsPerSecond > requestsPerSecond) byName.set(summary.row.name, summary)
  }
}
const all = [...byName.values()]
const drawn = shown.length === 0 ? all : shown.flatMap((row) => byName.get(row) ?? [])
writeFileSync(`${name}.md`, markdownOf(all))
writeFileSync(`${name}.json`, `${JSON.stringify(all, null, 2)}\n`)
writeFileSync(`${name}.svg`, plotOf(drawn))
