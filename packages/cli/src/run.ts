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
import { type Command, EXIT, type Input, type CommandContext, UsageError } from './command.js'
import { formatHelp, formatOverview } from './help.js'
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
export async function run(args: readonly string[], context: CommandContext): Promise<number> {
  try {
    return await dispatch(args, context)
  } catch (failure) {
    const { code, message } = describeError(failure)
    context.stderr.write(`baton: ${message}\n`)
    return code
  }
}

async function dispatch(args: readonly string[], context: CommandContext): Promise<number> {
  const [name, ...rest] = args
  if (name === '--version') return write(context, `${VERSION}\n`)
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    const requested = COMMANDS.find((command) => command.name === rest[0])
    return write(context, requested === undefined ? formatOverview(COMMANDS) : formatHelp(requested))
  }
  const command = COMMANDS.find((each) => each.name === name)
  if (command === undefined) {
    const names = COMMANDS.map((each) => each.name)
    throw new UsageError(`unknown command ${JSON.stringify(name)}${didYouMean(name, names)}; see baton --help`)
  }
  if (rest.includes('--help') || rest.includes('-h')) return write(context, formatHelp(command))
  return command.run(createInput(command, rest, context))
}

function createInput(command: Command, args: readonly string[], context: CommandContext): Input {
  const { values, positionals } = parseArguments(command, args)
  if (positionals.length > command.maxOperands)
    throw new UsageError(
      `${JSON.stringify(positionals[command.maxOperands])} is an unexpected argument; usage: baton ${command.name} ${command.operands}`,
    )
  const isJson = values['json'] === true
  return {
    positionals,
    text(name) {
      const value = values[name]
      return typeof value === 'string' ? value : undefined
    },
    has: (name) => values[name] === true,
    context,
    print({ json, text }) {
      context.stdout.write(isJson ? `${JSON.stringify(json, null, 2)}\n` : text)
    },
  }
}

function parseArguments(command: Command, args: readonly string[]) {
  const options = Object.fromEntries(
    Object.entries({ ...command.options, ...SHARED_OPTIONS }).map(([name, { type }]) => [name, { type }]),
  )
  try {
    return parseArgs({ args: separateFamilyIds(args, options), options, allowPositionals: true, strict: true })
  } catch (failure) {
    const unknown = /^Unknown option '--?([^']+)'/.exec(getMessage(failure))?.[1]
    const hint = unknown === undefined ? '' : didYouMean(unknown, Object.keys(options), '--')
    const [sentence] = getMessage(failure).split('. ')
    throw new UsageError(`${sentence ?? ''}${hint}; see baton ${command.name} --help`)
  }
}

/** One family id in 64 begins with a dash and must not be parsed as an option. */
function separateFamilyIds(args: readonly string[], options: Readonly<Record<string, { type: string }>>): string[] {
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

/** The options of every command. */
const SHARED_OPTIONS: Command['options'] = {
  json: { type: 'boolean', description: 'prints the result as JSON' },
}

function didYouMean(word: string, known: readonly string[], prefix = ''): string {
  const guess = nearestName(word, known)
  return guess === null ? '' : `; did you mean ${prefix}${guess}?`
}

function write({ stdout }: CommandContext, text: string): number {
  stdout.write(text)
  return EXIT.ok
}

function describeError(failure: unknown): { readonly code: number; readonly message: string } {
  if (failure instanceof UsageError || failure instanceof ConfigurationError)
    return { code: EXIT.usage, message: failure.message }
  const cause =
    failure instanceof OperationalError && failure.cause !== undefined ? `: ${getMessage(failure.cause)}` : ''
  return { code: EXIT.failure, message: getMessage(failure) + cause }
}

function getMessage(failure: unknown): string {
  if (!(failure instanceof Error)) return String(failure)
  // For a host with several addresses, Node.js reports one error for each address and no message.
  if (failure instanceof AggregateError && failure.message === '') return failure.errors.map(getMessage).join(', ')
  return failure.message
}
