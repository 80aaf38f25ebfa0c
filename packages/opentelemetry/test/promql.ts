import { parser } from '@prometheus-io/lezer-promql'

interface Matcher {
  readonly label: string
  readonly operator: string
  /** One, or the alternatives of a regular expression. */
  readonly values: readonly string[]
}

interface Selector {
  readonly metric: string
  readonly matchers: readonly Matcher[]
}

interface Query {
  readonly selectors: readonly Selector[]
  /** What its aggregations keep apart. */
  readonly labels: readonly string[]
}

/** What a query asks for, by the grammar of Prometheus' own editor. Throws where it is none. */
export function readQuery(query: string): Query {
  const selectors: { metric: string; matchers: Matcher[] }[] = []
  const labels: string[] = []
  parser.parse(query).iterate({
    enter({ type, from, to, node }) {
      const text = query.slice(from, to)
      const child = (name: string) => {
        const found = node.getChild(name)
        return found === null ? '' : query.slice(found.from, found.to)
      }
      if (type.isError) throw new Error(`not PromQL at ${String(from)}: ${query}`)
      if (type.name === 'VectorSelector') selectors.push({ metric: child('Identifier'), matchers: [] })
      if (type.name === 'UnquotedLabelMatcher') {
        const values = child('StringLiteral').slice(1, -1).split('|')
        selectors.at(-1)?.matchers.push({ label: child('LabelName'), operator: child('MatchOp'), values })
      }
      if (type.name === 'LabelName' && node.parent?.name === 'GroupingLabels') labels.push(text)
    },
  })
  return { selectors, labels }
}
