import { createInterface } from 'node:readline/promises'
import { Readable } from 'node:stream'
import { OperationalError } from '@baton/core'
import { type Command, EXIT, type Surroundings, UsageError } from '../command.js'
import { STORE_OPTIONS, withStore } from '../settings.js'
import { table } from '../table.js'

interface Verdict {
  readonly line: number
  /** Whose session it would become, or has become. */
  readonly subject: string | null
  /** `not ours` is what the old system knows nothing of. */
  readonly verdict: string
}

export const importTokens: Command = {
  name: 'import',
  about:
    "Rehearses the move of another system's tokens, one a line on stdin, by `legacyTokens` of the config; changes nothing",
  operands: '< tokens.txt',
  mostOperands: 0,
  options: STORE_OPTIONS,
  async run(input) {
    const verdicts = await withStore(input, async ({ tokens, config }) => {
      if (config.legacyTokens === undefined)
        throw new UsageError('the config exports no `legacyTokens`; see @baton/import for what to put there')
      const all: Verdict[] = []
      let line = 0
      for await (const token of linesOf(input.around)) {
        line += 1
        if (token !== '') all.push({ line, ...(await judge(tokens, token)) })
      }
      return all
    })
    const good = verdicts.filter(({ subject }) => subject !== null).length
    const summary = `${String(good)} of ${String(verdicts.length)} would go on without signing in again.\n`
    const rows = verdicts.map(({ line, subject, verdict }) => [String(line), verdict, subject ?? ''])
    input.print({
      json: { good, total: verdicts.length, tokens: verdicts },
      // By their lines: a token has no place in a terminal's history.
      text: (rows.length === 0 ? '' : table([['LINE', 'VERDICT', 'SUBJECT'], ...rows])) + summary,
    })
    return good === verdicts.length ? EXIT.ok : EXIT.no
  },
}

type Tokens = Parameters<Parameters<typeof withStore>[1]>[0]['tokens']

async function judge(tokens: Tokens, token: string): Promise<Omit<Verdict, 'line'>> {
  try {
    const inspection = await tokens.inspect(token)
    if (!inspection.active)
      return { subject: null, verdict: inspection.reason === 'malformed' ? 'not accepted' : inspection.reason }
    const { subject, generation } = inspection.family
    return { subject, verdict: generation === 0 ? 'good' : 'moved' }
  } catch (failure) {
    // One row that cannot be understood says nothing about the others.
    if (!(failure instanceof OperationalError) || failure.code !== 'hook_failed') throw failure
    const reason = failure.cause instanceof Error ? failure.cause.message : failure.message
    return { subject: null, verdict: `fault: ${reason}` }
  }
}

async function* linesOf({ stdin }: Surroundings): AsyncGenerator<string> {
  for await (const line of createInterface({ input: Readable.from(stdin), crlfDelay: Infinity })) yield line.trim()
}
