import { exitWithProblem, readSetting } from './settings.js'

interface UrlRules {
  readonly defaultValue: string
  /** With their colons. */
  readonly protocols: readonly string[]
}

/** Returns the URL in `REDIS_URL`. Its path, if any, is the number of a database. */
export function redisUrl(): string {
  const [url = '', ...others] = redisUrls()
  return others.length === 0 ? url : exitWithProblem('REDIS_URL', 'contains several servers; this example uses one')
}

/** Returns the comma-separated URLs in `REDIS_URL`. */
export function redisUrls(): string[] {
  return urls('REDIS_URL', { defaultValue: 'redis://127.0.0.1:6379', protocols: ['redis:', 'rediss:'] })
}

/** Returns the URL in `DATABASE_URL`. */
export function postgresUrl(): string {
  const rules = { defaultValue: 'postgres://localhost:5432/baton', protocols: ['postgres:', 'postgresql:'] }
  return urls('DATABASE_URL', rules).join(',')
}

function urls(name: string, { defaultValue, protocols }: UrlRules): string[] {
  const list = (readSetting(name) ?? defaultValue).split(',').map((url) => url.trim())
  for (const [index, url] of list.entries()) {
    // The URL may contain a password, so that it is not printed.
    if (!URL.canParse(url) || !protocols.includes(new URL(url).protocol))
      exitWithProblem(name, `URL ${index + 1} of ${list.length} does not start with ${protocols.join('// or ')}//`)
  }
  return list
}

/** A client of ioredis, or a pool of pg. */
interface Client {
  on(event: 'error', listener: (error: Error) => void): unknown
}

/**
 * Connects, or exits with a message that names the setting. Later connection errors are ignored: the client reconnects,
 * and each failed call is reported as a fault.
 */
export async function connectOrExit(name: string, client: Client, connect: () => Promise<unknown>): Promise<void> {
  let lastError: Error | undefined
  client.on('error', (error) => {
    lastError = error
  })
  try {
    await connect()
  } catch (error) {
    exitWithProblem(name, `cannot connect (${describeError(lastError ?? error)})`)
  }
}

function describeError(error: unknown): string {
  // A name with several addresses has one error for each.
  if (error instanceof AggregateError) return error.errors.map(describeError).join('; ')
  return (error instanceof Error ? error.message : String(error)).replaceAll('\n', ' ')
}

/** A setting of a store server that may lose sessions. */
interface Finding {
  readonly node: string | null
  readonly setting: string
  readonly value: string
  readonly advice: string
}

/** Prints the findings of a store about the settings of its servers. */
export function printFindings(findings: readonly Finding[]): void {
  for (const { node, setting, value, advice } of findings)
    console.warn(`${node === null ? '' : `${node}: `}${setting} is ${value}: ${advice}`)
}
