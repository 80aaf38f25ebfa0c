import { type Command, EXIT, type Input, UsageError } from '../command.js'
import { STORE_OPTIONS, withStore } from '../settings.js'

const DEFAULT_BATCH = 1000

export const purge: Command = {
  name: 'purge',
  description: 'Deletes ended sessions in batches; can be interrupted and continued later',
  operands: '',
  maxOperands: 0,
  options: {
    batch: { type: 'string', value: 'count', description: `sessions per batch; default ${String(DEFAULT_BATCH)}` },
    max: { type: 'string', value: 'count', description: 'maximum number of sessions to delete; default: all' },
    ...STORE_OPTIONS,
  },
  async run(input) {
    const batch = readCount(input, 'batch') ?? DEFAULT_BATCH
    const max = readCount(input, 'max') ?? Infinity
    const progress = createProgress(input)
    const { purged, isDone } = await withStore(input, async ({ tokens }) => {
      let purged = 0
      for (;;) {
        const size = Math.min(batch, max - purged)
        const count = await tokens.purge(size)
        purged += count
        progress.show(purged)
        if (count < size) return { purged, isDone: true }
        if (purged >= max) return { purged, isDone: false }
      }
    }).finally(() => progress.end())
    input.print({
      json: { purged, done: isDone },
      text: `Deleted ${String(purged)}; ${isDone ? 'no ended session is left' : 'more may be left'}.\n`,
    })
    return EXIT.ok
  },
}

function readCount(input: Input, name: string): number | undefined {
  const text = input.text(name)
  if (text === undefined) return undefined
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= 1_000_000) return count
  throw new UsageError(`--${name} ${text} is not a whole number from 1 to 1000000`)
}

const BAR_WIDTH = 20

/** The total is unknown without counting all sessions, so the bar moves instead of growing. */
function createProgress({ context: { stderr } }: Input) {
  const isTerminal = stderr.isTTY === true
  let step = 0
  return {
    show(purged: number) {
      if (!isTerminal) return
      const at = step++ % BAR_WIDTH
      stderr.write(`\r[${' '.repeat(at)}=${' '.repeat(BAR_WIDTH - 1 - at)}] ${String(purged)} deleted`)
    },
    end() {
      if (isTerminal && step > 0) stderr.write('\n')
    },
  }
}
