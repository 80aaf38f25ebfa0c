/** What a command touches of the world. */
export interface Surroundings {
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
  readonly about: string
}

export interface Input {
  readonly positionals: readonly string[]
  /** The value of a text option; undefined where it was not given. */
  readonly text: (name: string) => string | undefined
  /** Whether a switch was given. */
  readonly has: (name: string) => boolean
  readonly around: Surroundings
  /** Writes the result for a person or, with --json, for a program. */
  readonly print: (result: { readonly json: unknown; readonly text: string }) => void
}

export interface Command {
  readonly name: string
  readonly about: string
  /** What comes after the name, such as `<subject>`. */
  readonly operands: string
  readonly mostOperands: number
  readonly options: Readonly<Record<string, Option>>
  /** Resolves to the exit code. */
  run(input: Input): Promise<number>
}

/** How the program ends. */
export const EXIT = {
  ok: 0,
  /** The answer is no: no such session, a finding that needs mending. */
  no: 1,
  /** The command line is wrong. */
  usage: 2,
  /** Something broke, such as the way to the store. */
  fault: 3,
} as const

/** The command line is wrong; the message says how, and what would be right. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
