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

/** With any of these, `startPostgres` starts a new server, even if `DATABASE_URL` is set. */
export interface PostgresOptions {
  readonly port?: number
  /** Settings by their names in postgresql.conf, such as `shared_preload_libraries`. */
  readonly settings?: Readonly<Record<string, string>>
}

/** A server for one test. Members that act on its processes reject if the server is that of `DATABASE_URL`. */
export interface PostgresServer {
  /** Selects `schema`. */
  readonly url: string
  readonly host: string
  readonly port: number
  /** `public` on a new server, otherwise a schema that was created by this call and is dropped by `stop`. */
  readonly schema: string
  /** The running postmaster. */
  readonly pid: number
  /** Creates a pool whose lost connections do not end this process. `stop` ends it. */
  pool(options?: PoolConfig): Pool
  /** Kills the postmaster and all its children. Resolves when all are gone. */
  kill9(): Promise<void>
  /** Starts again on the same port and data, after a shutdown if the server still runs. Resolves when it responds. */
  restart(): Promise<void>
  /** Starts again as a standby, which accepts no writes. `SELECT pg_promote()` makes it a primary again. */
  restartAsStandby(): Promise<void>
  /** Stops all processes of the server: connections remain open without responses. */
  pause(): void
  resume(): void
  /** Ends the server at once and removes its data. */
  stop(): Promise<void>
}

/**
 * Starts a PostgreSQL 18 on a free loopback port and resolves when it responds. Without options and with `DATABASE_URL`, it uses that
 * server instead, in a new schema.
 */
export async function startPostgres(options?: PostgresOptions): Promise<PostgresServer> {
  const sharedUrl = process.env['DATABASE_URL']
  if (sharedUrl && options === undefined) return usePostgres(sharedUrl)
  return startNewPostgres(options ?? {})
}

async function startNewPostgres({ port: wantedPort, settings }: PostgresOptions): Promise<PostgresServer> {
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
    await until(
      `PostgreSQL responds on port ${port}`,
      async () => !launched.isRunning() || (await responds(url)),
      60_000,
    )
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
    // A stopped postmaster starts no further child and does not notice that its children end.
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
      // With this file, PostgreSQL starts as a standby.
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

async function usePostgres(url: string): Promise<PostgresServer> {
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
    throw new Error('The server of DATABASE_URL does not respond, or does not allow to create a schema.', { cause })
  }
  const rejectShared = (): never => {
    throw new Error(
      'Tests must not kill, pause or restart the server of DATABASE_URL. ' +
        'A test that needs this passes options to startPostgres.',
    )
  }

  return {
    url: schemaUrl.href,
    host: hostname,
    port: Number(port || 5432),
    schema,
    get pid() {
      return rejectShared()
    },
    pool: (options) => pools.open(options),
    kill9: async () => rejectShared(),
    restart: async () => rejectShared(),
    restartAsStandby: async () => rejectShared(),
    pause: rejectShared,
    resume: rejectShared,
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
      // Tests ignore lost idle connections. Without a listener, one would end this process.
      pool.on('error', () => undefined)
      pools.add(pool)
      return pool
    },
    async end() {
      await Promise.all([...pools].filter((pool) => !pool.ending).map((pool) => pool.end()))
    },
  }
}

async function responds(url: string): Promise<boolean> {
  const pools = poolsOf({ connectionString: url, max: 1, connectionTimeoutMillis: 2_000 })
  try {
    await pools.open().query('SELECT 1')
    return true
  } finally {
    await pools.end()
  }
}
