import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chownSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Pool, type PoolConfig } from 'pg'
import { freePort, loopback } from './ports.js'
import { postgresAccount, postgresPrograms } from './postgres-programs.js'
import { childrenOf, isGone } from './process-tree.js'
import { startProcess, temporaryFolder, type ServerProcess } from './server-process.js'
import { until } from './until.js'

/** Any of these makes `startPostgres` start a server of its own, whatever `DATABASE_URL` says. */
export interface PostgresOptions {
  readonly port?: number
  /** Settings by their names in postgresql.conf, such as `shared_preload_libraries`. */
  readonly settings?: Readonly<Record<string, string>>
}

/** A server for one test. Everything that acts on its processes rejects when the server is that of `DATABASE_URL`. */
export interface PostgresServer {
  /** Leads to `schema` by itself. */
  readonly url: string
  readonly host: string
  readonly port: number
  /** `public` on a server of our own, else a schema made for this call and dropped by `stop`. */
  readonly schema: string
  /** The running postmaster. */
  readonly pid: number
  /** A pool whose lost connections do not end Node. It is ended by `stop`. */
  pool(options?: PoolConfig): Pool
  /** Kills the postmaster and all its children. Resolves when all are gone. */
  kill9(): Promise<void>
  /** Starts again on the same port and data, after an orderly end if the server still runs. Resolves once it answers. */
  restart(): Promise<void>
  /** Starts again as a standby, which takes no writes. `SELECT pg_promote()` makes it a primary again. */
  restartAsStandby(): Promise<void>
  /** Freezes all processes of the server: connections stay open and nothing answers. */
  pause(): void
  resume(): void
  /** Ends the server at once and removes its data. */
  stop(): Promise<void>
}

/**
 * Starts a PostgreSQL 18 of its own on a free loopback port and resolves once it answers. Called without options while
 * `DATABASE_URL` is set, it answers with that server instead, in a schema of its own.
 */
export async function startPostgres(options?: PostgresOptions): Promise<PostgresServer> {
  const foreignUrl = process.env['DATABASE_URL']
  if (foreignUrl && options === undefined) return borrowPostgres(foreignUrl)
  return startOwnPostgres(options ?? {})
}

async function startOwnPostgres({ port: wantedPort, settings }: PostgresOptions): Promise<PostgresServer> {
  const account = postgresAccount()
  const port = wantedPort ?? (await freePort())
  const password = randomBytes(16).toString('hex')
  const url = `postgres://postgres:${password}@${loopback}:${port}/postgres`
  const folder = temporaryFolder('postgres', account)
  const dataFolder = join(folder.path, 'data')
  const config: Record<string, string> = { listen_addresses: loopback, unix_socket_directories: '', ...settings }
  const pools = poolsOf({ connectionString: url })

  async function launch(program: string): Promise<ServerProcess> {
    const flags = Object.entries(config).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const launched = await startProcess({
      program,
      args: ['-D', dataFolder, '-p', String(port), ...flags],
      logFile: join(folder.path, 'postgres.log'),
      endSignal: 'SIGQUIT',
      account,
    })
    await until(`PostgreSQL answers on port ${port}`, async () => !launched.isRunning() || (await answers(url)), 60_000)
    if (!launched.isRunning()) throw new Error(`PostgreSQL ended instead of serving:\n${launched.lastWords()}`)
    return launched
  }

  async function start(): Promise<{ program: string; first: ServerProcess }> {
    const programs = await postgresPrograms(folder.path, account)
    const passwordFile = join(folder.path, 'password')
    writeFileSync(passwordFile, password, { mode: 0o600 })
    if (account) chownSync(passwordFile, account.uid, account.gid)
    const identity = ['--username=postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256']
    const quick = ['--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions']
    await promisify(execFile)(programs.initdb, [`--pgdata=${dataFolder}`, ...identity, ...quick], {
      cwd: tmpdir(),
      ...account,
    })
    return { program: programs.postgres, first: await launch(programs.postgres) }
  }

  const { program, first } = await start().catch(async (error: unknown) => {
    await folder.remove()
    throw error
  })
  let server = first

  function signalAll(signal: NodeJS.Signals): number[] {
    // A frozen postmaster starts no further child and does not see its children die.
    server.signal('SIGSTOP')
    const pids = [...childrenOf(server.pid), server.pid]
    for (const pid of pids) process.kill(pid, signal)
    return pids
  }

  async function kill9(): Promise<void> {
    if (!server.isRunning()) return
    const pids = signalAll('SIGKILL')
    await server.gone()
    await until('all processes of PostgreSQL are gone', () => pids.every(isGone))
  }

  async function restart(): Promise<void> {
    if (server.isRunning()) {
      signalAll('SIGCONT')
      server.signal('SIGINT')
      await server.gone()
    }
    server = await launch(program)
  }

  return {
    url,
    host: loopback,
    port,
    schema: 'public',
    get pid() {
      return server.pid
    },
    pool: (options) => pools.open(options),
    kill9,
    restart,
    async restartAsStandby() {
      // PostgreSQL takes this file for the wish to be a standby.
      writeFileSync(join(dataFolder, 'standby.signal'), '')
      await restart()
    },
    pause: () => void signalAll('SIGSTOP'),
    resume: () => void signalAll('SIGCONT'),
    async stop() {
      await kill9()
      await pools.end()
      await folder.remove()
    },
  }
}

async function borrowPostgres(url: string): Promise<PostgresServer> {
  const { hostname, port } = new URL(url)
  const schema = `baton_test_${randomBytes(6).toString('hex')}`
  const schemaUrl = new URL(url)
  const given = schemaUrl.searchParams.get('options')
  schemaUrl.searchParams.set('options', `${given ? `${given} ` : ''}-c search_path=${schema}`)
  const pools = poolsOf({ connectionString: schemaUrl.href })
  const housekeeping = pools.open({ max: 1 })
  try {
    await housekeeping.query(`CREATE SCHEMA ${schema}`)
  } catch (cause) {
    await pools.end()
    throw new Error('The server that DATABASE_URL names does not answer, or lets us create no schema.', { cause })
  }
  const notOurs = (): never => {
    throw new Error(
      'DATABASE_URL names a server that is not ours to kill, freeze or restart. ' +
        'A test that needs this passes options to startPostgres.',
    )
  }

  return {
    url: schemaUrl.href,
    host: hostname,
    port: Number(port || 5432),
    schema,
    get pid() {
      return notOurs()
    },
    pool: (options) => pools.open(options),
    kill9: async () => notOurs(),
    restart: async () => notOurs(),
    restartAsStandby: async () => notOurs(),
    pause: notOurs,
    resume: notOurs,
    async stop() {
      await housekeeping.query(`DROP SCHEMA ${schema} CASCADE`)
      await pools.end()
    },
  }
}

function poolsOf(defaults: PoolConfig): { open: (options?: PoolConfig) => Pool; end(): Promise<void> } {
  const pools = new Set<Pool>()
  return {
    open(options = {}) {
      const pool = new Pool({ ...defaults, ...options })
      // An idle connection that is lost is no news here, and without a listener it would end Node.
      pool.on('error', () => undefined)
      pools.add(pool)
      return pool
    },
    async end() {
      await Promise.all([...pools].filter((pool) => !pool.ending).map((pool) => pool.end()))
    },
  }
}

async function answers(url: string): Promise<boolean> {
  const pools = poolsOf({ connectionString: url, max: 1, connectionTimeoutMillis: 2_000 })
  try {
    await pools.open().query('SELECT 1')
    return true
  } finally {
    await pools.end()
  }
}
