import { type Command, EXIT, type Input, UsageError } from '../command.js'
import { STORE_OPTIONS, withStore } from '../settings.js'

const DEFAULT_BATCH = 1000

export const purge: Command = {
  name: 'purge',
  about: 'Deletes sessions that are over, batch by batch; stop it at any time and go on later',
  operands: '',
  mostOperands: 0,
  options: {
    batch: { type: 'string', value: 'count', about: `how many at a time; default ${String(DEFAULT_BATCH)}` },
    most: { type: 'string', value: 'count', about: 'stops after about so many; default: when nothing is left' },
    ...STORE_OPTIONS,
  },
  async run(input) {
    const batch = countOf(input, 'batch') ?? DEFAULT_BATCH
    const most = countOf(input, 'most') ?? Infinity
    const progress = progressOn(input)
    const { purged, isDone } = await withStore(input, async ({ tokens }) => {
      let purged = 0
      for (;;) {
        const size = Math.min(batch, most - purged)
        const count = await tokens.purge(size)
        purged += count
        progress.show(purged)
        if (count < size) return { purged, isDone: true }
        if (purged >= most) return { purged, isDone: false }
      }
    }).finally(() => progress.end())
    input.print({
      json: { purged, done: isDone },
      text: `Deleted ${String(purged)}; ${isDone ? 'nothing is left' : 'there may be more'}.\n`,
    })
    return EXIT.ok
  },
}

function countOf(input: Input, name: string): number | undefined {
  const text = input.text(name)
  if (text === undefined) return undefined
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= 1_000_000) return count
  throw new UsageError(`--${name} ${text} is not a whole number from 1 to 1000000`)
}

const BAR = 20

/** How many are left nobody knows without counting them all, so the bar walks instead of growing. */
function progressOn({ around: { stderr } }: Input) {
  const isSeen = stderr.isTTY === true
  let step = 0
  return {
    show(purged: number) {
      if (!isSeen) return
      const at = step++ % BAR
      stderr.write(`\r[${' '.repeat(at)}=${' '.repeat(BAR - 1 - at)}] ${String(purged)} deleted`)
    },
    end() {
      if (isSeen && step > 0) stderr.write('\n')
    },
  }
}
