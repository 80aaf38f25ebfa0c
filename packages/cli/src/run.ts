import { parseArgs } from 'node:util'
import { OperationalError, ConfigurationError } from '@baton/core'
import { doctor } from './commands/doctor.js'
import { importTokens } from './commands/import.js'
import { init } from './commands/init.js'
import { inspect } from './commands/inspect.js'
import { migrate } from './commands/migrate.js'
import { purge } from './commands/purge.js'
import { revoke } from './commands/revoke.js'
import { secret } from './commands/secret.js'
import { sessions } from './commands/sessions.js'
import { type Command, EXIT, type Input, type Surroundings, UsageError } from './command.js'
import { helpOf, overview } from './help.js'
import { nearestName } from '@baton/core/options'
import { VERSION } from './version.js'

const COMMANDS: readonly Command[] = [init, secret, inspect, sessions, revoke, purge, doctor, migrate, importTokens]

/**
 * Runs one command line. Resolves to the exit code. Errors are written to `stderr`, without a stack trace.
 *
 * @example
 * ```ts
 * import { run } from '@baton/cli'
 *
 * process.exitCode = await run(['secret'], {
 *   env: process.env,
 *   cwd: process.cwd(),
 *   stdin: process.stdin,
 *   stdout: process.stdout,
 *   stderr: process.stderr,
 * })
 * ```
 */
export async function run(args: readonly string[], around: Surroundings): Promise<number> {
  try {
    return await dispatch(args, around)
  } catch (failure) {
    const { code, message } = explained(failure)
    around.stderr.write(`baton: ${message}\n`)
    return code
  }
}

async function dispatch(args: readonly string[], around: Surroundings): Promise<number> {
  const [name, ...rest] = args
  if (name === '--version') return say(around, `${VERSION}\n`)
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    const asked = COMMANDS.find((command) => command.name === rest[0])
    return say(around, asked === undefined ? overview(COMMANDS) : helpOf(asked))
  }
  const command = COMMANDS.find((each) => each.name === name)
  if (command === undefined) {
    const names = COMMANDS.map((each) => each.name)
    throw new UsageError(`there is no command ${JSON.stringify(name)}${didYouMean(name, names)}; see baton --help`)
  }
  if (rest.includes('--help') || rest.includes('-h')) return say(around, helpOf(command))
  return command.run(inputOf(command, rest, around))
}

function inputOf(command: Command, args: readonly string[], around: Surroundings): Input {
  const { values, positionals } = parsed(command, args)
  if (positionals.length > command.mostOperands)
    throw new UsageError(
      `${JSON.stringify(positionals[command.mostOperands])} is too much; usage: baton ${command.name} ${command.operands}`,
    )
  const isJson = values['json'] === true
  return {
    positionals,
    text(name) {
      const value = values[name]
      return typeof value === 'string' ? value : undefined
    },
    has: (name) => values[name] === true,
    around,
    print({ json, text }) {
      around.stdout.write(isJson ? `${JSON.stringify(json, null, 2)}\n` : text)
    },
  }
}

function parsed(command: Command, args: readonly string[]) {
  const options = Object.fromEntries(
    Object.entries({ ...command.options, ...COMMON }).map(([name, { type }]) => [name, { type }]),
  )
  try {
    return parseArgs({ args: unambiguous(args, options), options, allowPositionals: true, strict: true })
  } catch (failure) {
    const unknown = /^Unknown option '--?([^']+)'/.exec(messageOf(failure))?.[1]
    const hint = unknown === undefined ? '' : didYouMean(unknown, Object.keys(options), '--')
    const [sentence] = messageOf(failure).split('. ')
    throw new UsageError(`${sentence ?? ''}${hint}; see baton ${command.name} --help`)
  }
}

/** One family id in sixty-four begins with a dash, and must not be taken for an option. */
function unambiguous(args: readonly string[], options: Readonly<Record<string, { type: string }>>): string[] {
  const isFamily = (arg: string) => arg.startsWith('-') && /^[A-Za-z0-9_-]{22}$/.test(arg) && !(arg.slice(2) in options)
  const plain: string[] = []
  const operands: string[] = []
  for (const [index, arg] of args.entries()) {
    if (!isFamily(arg)) {
      plain.push(arg)
      continue
    }
    const before = args[index - 1] ?? ''
    const isValue = before.startsWith('--') && options[before.slice(2)]?.type === 'string'
    if (isValue) plain.splice(-1, 1, `${before}=${arg}`)
    else operands.push(arg)
  }
  return operands.length === 0 ? plain : [...plain, '--', ...operands]
}

/** Understood by every command. */
const COMMON: Command['options'] = {
  json: { type: 'boolean', about: 'writes the result as JSON' },
}

function didYouMean(word: string, known: readonly string[], prefix = ''): string {
  const guess = nearestName(word, known)
  return guess === null ? '' : `; did you mean ${prefix}${guess}?`
}

function say({ stdout }: Surroundings, text: string): number {
  stdout.write(text)
  return EXIT.ok
}

function explained(failure: unknown): { readonly code: number; readonly message: string } {
  if (failure instanceof UsageError || failure instanceof ConfigurationError)
    return { code: EXIT.usage, message: failure.message }
  const cause =
    failure instanceof OperationalError && failure.cause !== undefined ? `: ${messageOf(failure.cause)}` : ''
  return { code: EXIT.fault, message: messageOf(failure) + cause }
}

function messageOf(failure: unknown): string {
  if (!(failure instanceof Error)) return String(failure)
  // Of several addresses that were tried, Node tells the reasons one by one and no message.
  if (failure instanceof AggregateError && failure.message === '') return failure.errors.map(messageOf).join(', ')
  return failure.message
}
