import { createInterface } from 'node:readline/promises'
import { Readable } from 'node:stream'
import { OperationalError } from '@baton/core'
import { type Command, EXIT, type CommandContext, UsageError } from '../command.js'
import { STORE_OPTIONS, withStore } from '../settings.js'
import { formatTable } from '../table.js'

interface Verdict {
  readonly line: number
  /** The subject of the session that the token would become, or has become; null for a token that is not accepted. */
  readonly subject: string | null
  readonly verdict: string
}

export const importTokens: Command = {
  name: 'import',
  description:
    'Tests which tokens of another system `legacyTokens` of the config accepts, one per line on stdin; changes nothing',
  operands: '< tokens.txt',
  maxOperands: 0,
  options: STORE_OPTIONS,
  async run(input) {
    const verdicts = await withStore(input, async ({ tokens, config }) => {
      if (config.legacyTokens === undefined)
        throw new UsageError('the config exports no `legacyTokens`; see @baton/import')
      const all: Verdict[] = []
      let line = 0
      for await (const token of readLines(input.context)) {
        line += 1
        if (token !== '') all.push({ line, ...(await judge(tokens, token)) })
      }
      return all
    })
    const accepted = verdicts.filter(({ subject }) => subject !== null).length
    const summary = `${String(accepted)} of ${String(verdicts.length)} tokens would be accepted.\n`
    const rows = verdicts.map(({ line, subject, verdict }) => [String(line), verdict, subject ?? ''])
    input.print({
      json: { accepted, total: verdicts.length, tokens: verdicts },
      // Line numbers instead of tokens, which must not appear in a terminal.
      text: (rows.length === 0 ? '' : formatTable([['LINE', 'VERDICT', 'SUBJECT'], ...rows])) + summary,
    })
    return accepted === verdicts.length ? EXIT.ok : EXIT.negative
  },
}

type Tokens = Parameters<Parameters<typeof withStore>[1]>[0]['tokens']

async function judge(tokens: Tokens, token: string): Promise<Omit<Verdict, 'line'>> {
  try {
    const inspection = await tokens.inspect(token)
    if (!inspection.active)
      return { subject: null, verdict: inspection.reason === 'malformed' ? 'not accepted' : inspection.reason }
    const { subject, generation } = inspection.family
    return { subject, verdict: generation === 0 ? 'accepted' : 'already imported' }
  } catch (failure) {
    // An invalid row does not affect the others.
    if (!(failure instanceof OperationalError) || failure.code !== 'hook_failed') throw failure
    const reason = failure.cause instanceof Error ? failure.cause.message : failure.message
    return { subject: null, verdict: `error: ${reason}` }
  }
}

async function* readLines({ stdin }: CommandContext): AsyncGenerator<string> {
  for await (const line of createInterface({ input: Readable.from(stdin), crlfDelay: Infinity })) yield line.trim()
}
