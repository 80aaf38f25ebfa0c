/** The environment of a command: variables, working directory and streams. */
export interface CommandContext {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly stdin: AsyncIterable<Uint8Array | string> & { readonly isTTY?: boolean }
  readonly stdout: Output
  readonly stderr: Output
}

interface Output {
  readonly isTTY?: boolean
  write(text: string): unknown
}

export interface Option {
  readonly type: 'string' | 'boolean'
  /** Shown in the help: `file`, `url`. */
  readonly value?: string
  readonly description: string
}

export interface Input {
  readonly positionals: readonly string[]
  /** Returns the value of a text option; undefined if it is missing. */
  readonly text: (name: string) => string | undefined
  /** Returns true if a flag is set. */
  readonly has: (name: string) => boolean
  readonly context: CommandContext
  /** Writes the result as text or, with --json, as JSON. */
  readonly print: (result: { readonly json: unknown; readonly text: string }) => void
}

export interface Command {
  readonly name: string
  readonly description: string
  /** The operands after the name, such as `<subject>`. */
  readonly operands: string
  readonly maxOperands: number
  readonly options: Readonly<Record<string, Option>>
  /** Resolves to the exit code. */
  run(input: Input): Promise<number>
}

/** Exit codes. */
export const EXIT = {
  ok: 0,
  /** A negative result: no such session, or a problem was found. */
  negative: 1,
  /** Invalid arguments. */
  usage: 2,
  /** A failure, such as no connection to the store. */
  failure: 3,
} as const

/** Invalid arguments. The message names the mistake and the correct form. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
