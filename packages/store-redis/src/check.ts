import { isNodeRedisSentinel, type RedisClient } from './client.js'

/** A setting with which sessions can be lost, and what to do about it. */
export interface Finding {
  /** `host:port` of a server of a cluster; null for a single server and for the client. */
  readonly node: string | null
  /** The name in redis.conf, in the reply of INFO or in the options of the client. */
  readonly setting: string
  readonly value: string
  readonly advice: string
}

/** The settings that the reply of INFO and CONFIG GET name. */
type Settings = Readonly<Record<string, string | undefined>>

interface Topology {
  readonly cluster: boolean
  readonly sentinel: boolean
}

type SettingFinding = readonly [setting: string, value: string, advice: string]

const MIN_VERSION = [6, 2]
const MIN_VERSION_FOR_SCRIPTS = [6, 2, 7]

/** Yields the unsafe settings of a server. An unknown setting is not reported. */
function* unsafeSettings(settings: Settings, { cluster, sentinel }: Topology): Generator<SettingFinding> {
  const { redis_version: version, maxmemory_policy: eviction, aof_enabled: appendonly, appendfsync, save } = settings
  const { role, connected_slaves: replicas, 'replica-read-only': readOnly, 'min-replicas-to-write': min } = settings

  if (isOlder(version, MIN_VERSION)) yield ['redis_version', version, 'use Redis 6.2 or later, or Valkey']
  if (eviction !== undefined && eviction !== 'noeviction')
    yield ['maxmemory-policy', eviction, 'set noeviction: with any other policy a full server deletes sessions']
  if (appendonly === '0')
    yield [
      'appendonly',
      save === undefined ? 'no' : `no, save "${save}"`,
      'set yes: without it a restart ends every session, or with snapshots every session that was refreshed since the last one',
    ]
  if (appendonly === '1' && appendfsync === 'no')
    yield ['appendfsync', 'no', 'set everysec or always: a crash of the machine loses all writes that it has buffered']
  if (role === 'slave' && !cluster) yield ['role', 'replica', 'connect to the primary: a replica accepts no writes']
  if (role === 'slave' && readOnly === 'no')
    yield ['replica-read-only', 'no', 'set yes: the next synchronisation deletes what was written to a replica']
  if (role === 'master' && (sentinel || Number(replicas) > 0) && min === '0')
    yield [
      'min-replicas-to-write',
      '0',
      'set 1 on every server: a primary without its replicas accepts rotations that the fail-over loses, and those sessions end',
    ]
  if (!isOlder(version, MIN_VERSION) && isOlder(version, MIN_VERSION_FOR_SCRIPTS) && Number(min) > 0)
    yield [
      'redis_version',
      version,
      'use Redis 6.2.7 or later: before, min-replicas-to-write does not apply to scripts',
    ]
}

/** Yields the unsafe options of ioredis. */
function* unsafeOptions(options: Connection['options'] = {}): Generator<SettingFinding> {
  if (options['autoResendUnfulfilledCommands'] === false)
    yield [
      'autoResendUnfulfilledCommands',
      'false',
      'set true: without it, calls wait without a limit when a connection is lost; a command sent twice changes nothing',
    ]
  if (Array.isArray(options['sentinels']) && options['failoverDetector'] !== true)
    yield [
      'failoverDetector',
      'false',
      'set true: without it the client may stay with a primary that was replaced; rotations made there are lost, and those sessions end',
    ]
}

const toFindings = (node: string | null, found: Iterable<SettingFinding>): Finding[] =>
  Array.from(found, ([setting, value, advice]) => ({ node, setting, value, advice }))

export async function checkServers(client: RedisClient): Promise<Finding[]> {
  // The members of this interface are optional: every client of both drivers has some of them.
  const connection = client as Connection
  const servers = await findServers(connection)
  const sentinel = isNodeRedisSentinel(client) || Array.isArray(connection.options?.['sentinels'])
  const topology = { cluster: servers.length > 1, sentinel }
  const findings = await Promise.all(servers.map((server) => checkServer(server, topology)))
  return [...toFindings(null, unsafeOptions(connection.options)), ...findings.flat()]
}

const CONFIG_NAMES = ['save', 'appendfsync', 'replica-read-only', 'min-replicas-to-write']
const INFO_NAMES = ['redis_version', 'maxmemory-policy', 'appendonly']

async function checkServer({ node, send }: Server, { cluster, sentinel }: Topology): Promise<Finding[]> {
  const info = await unlessForbidden(send('INFO'))
  const config = await Promise.all(CONFIG_NAMES.map((name) => unlessForbidden(send('CONFIG', 'GET', name))))
  const settings = Object.fromEntries([
    ...(typeof info === 'string' ? [...info.matchAll(/^([^:\r\n]+):(.*?)\r?$/gm)].map(([, ...entry]) => entry) : []),
    ...CONFIG_NAMES.map((name, index) => [name, configValue(config[index], name)]),
  ]) as Settings
  const unchecked = (setting: string, names: readonly string[]): SettingFinding => {
    const advice = `could not check ${names.join(', ')}: look them up in the documentation of your provider`
    return [setting, 'forbidden', advice]
  }
  return toFindings(node, [
    ...unsafeSettings(settings, { sentinel, cluster: cluster || settings['cluster_enabled'] === '1' }),
    ...(info === FORBIDDEN ? [unchecked('INFO', INFO_NAMES)] : []),
    ...(config.includes(FORBIDDEN) ? [unchecked('CONFIG', CONFIG_NAMES)] : []),
  ])
}

const FORBIDDEN = Symbol('forbidden')

/** Managed servers forbid or remove commands. Any other error, such as a lost connection, is thrown. */
const unlessForbidden = (reply: Promise<unknown>): Promise<unknown> =>
  reply.catch((error: unknown) => {
    if (error instanceof Error && /^(NOPERM|ERR) /.test(error.message)) return FORBIDDEN
    throw error
  })

/** The reply is a list of names and values, a Map or an object, depending on protocol and driver. */
function configValue(reply: unknown, name: string): unknown {
  if (Array.isArray(reply)) return reply[1]
  if (reply instanceof Map) return reply.get(name)
  return typeof reply === 'object' && reply !== null ? Reflect.get(reply, name) : undefined
}

function isOlder(version: string | undefined, min: readonly number[]): version is string {
  if (version === undefined) return false
  const parts = version.split('.').map(Number)
  const differing = min.findIndex((part, index) => part !== (parts[index] ?? 0))
  return differing !== -1 && (parts[differing] ?? 0) < (min[differing] ?? 0)
}

/** The members of the clients of both drivers, and of their clusters, that only this check uses. */
interface Connection {
  readonly options?: Readonly<Record<string, unknown>>
  call?(...command: string[]): Promise<unknown>
  nodes?(role: 'all'): Connection[]
  sendCommand?(...args: [command: string[]] | [isReadOnly: boolean, command: string[]]): Promise<unknown>
  readonly masters?: readonly { readonly address: string }[]
  readonly replicas?: readonly { readonly address: string }[]
  nodeClient?(node: { readonly address: string }): Promise<Connection>
}

interface Server {
  readonly node: string | null
  readonly send: (...command: string[]) => Promise<unknown>
}

async function findServers(connection: Connection): Promise<Server[]> {
  if (connection.nodes !== undefined) {
    // A cluster that is still connecting knows none of its nodes, or only those of its options.
    await unlessForbidden(toServer(connection).send('PING'))
    return connection
      .nodes('all')
      .map((node) => toServer(node, `${String(node.options?.['host'])}:${String(node.options?.['port'])}`))
  }
  const { masters = [], replicas = [] } = connection
  if (connection.nodeClient === undefined) return [toServer(connection)]
  return Promise.all(
    [...masters, ...replicas].map(async (node) => toServer((await connection.nodeClient?.(node)) ?? {}, node.address)),
  )
}

function toServer(connection: Connection, node: string | null = null): Server {
  const isSentinel = isNodeRedisSentinel(connection)
  const send = async (...command: string[]) =>
    connection.call?.(...command) ??
    (isSentinel ? connection.sendCommand?.(false, command) : connection.sendCommand?.(command))
  return { node, send }
}
