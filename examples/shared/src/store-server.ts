import { refuse, setting } from './settings.js'

interface UrlRules {
  readonly byDefault: string
  /** With their colons. */
  readonly protocols: readonly string[]
}

/** The URL that `REDIS_URL` names. Its path, if any, is the number of a database. */
export function redisUrl(): string {
  const [url = '', ...others] = redisUrls()
  return others.length === 0 ? url : refuse('REDIS_URL', 'names several servers; this example uses one')
}

/** The URLs that `REDIS_URL` names, separated by commas. */
export function redisUrls(): string[] {
  return urls('REDIS_URL', { byDefault: 'redis://127.0.0.1:6379', protocols: ['redis:', 'rediss:'] })
}

/** The URL that `DATABASE_URL` names. */
export function postgresUrl(): string {
  const rules = { byDefault: 'postgres://localhost:5432/baton', protocols: ['postgres:', 'postgresql:'] }
  return urls('DATABASE_URL', rules).join(',')
}

function urls(name: string, { byDefault, protocols }: UrlRules): string[] {
  const list = (setting(name) ?? byDefault).split(',').map((url) => url.trim())
  for (const [index, url] of list.entries()) {
    // It may hold a password, so it is not repeated.
    if (!URL.canParse(url) || !protocols.includes(new URL(url).protocol))
      refuse(name, `URL ${index + 1} of ${list.length} is none that begins with ${protocols.join('// or ')}//`)
  }
  return list
}

/** A client of ioredis, or a pool of pg. */
interface Client {
  on(event: 'error', listener: (error: Error) => void): unknown
}

/**
 * Ends the process with a line that names the setting, unless `connect` succeeds. From then on lost connections are quiet: they come
 * back by themselves, and each call that fails meanwhile is reported as a fault.
 */
export async function reach(name: string, client: Client, connect: () => Promise<unknown>): Promise<void> {
  let lastError: Error | undefined
  client.on('error', (error) => {
    lastError = error
  })
  try {
    await connect()
  } catch (error) {
    refuse(name, `no server there that can be used (${reasonOf(lastError ?? error)})`)
  }
}

function reasonOf(error: unknown): string {
  // A name with several addresses fails once for each.
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ')
  return (error instanceof Error ? error.message : String(error)).replaceAll('\n', ' ')
}

/** What a store says about the settings of its servers. */
interface Finding {
  readonly node: string | null
  readonly setting: string
  readonly value: string
  readonly advice: string
}

/** Prints under which settings of its servers sessions can get lost. */
export function warnOf(findings: readonly Finding[]): void {
  for (const { node, setting, value, advice } of findings)
    console.warn(`${node === null ? '' : `${node}: `}${setting} is ${value}: ${advice}`)
}
