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

interface Rule {
  readonly setting: string
  /** Returns the value to report, or undefined if it is safe or unknown. */
  readonly findUnsafe: (settings: Settings, topology: Topology) => string | undefined
  readonly advice: string
}

const MIN_VERSION = [6, 2]
const MIN_VERSION_FOR_SCRIPTS = [6, 2, 7]

const RULES: readonly Rule[] = [
  {
    setting: 'redis_version',
    findUnsafe: ({ redis_version: version }) => (isOlder(version, MIN_VERSION) ? version : undefined),
    advice: `use Redis ${MIN_VERSION.join('.')} or later, or Valkey`,
  },
  {
    setting: 'maxmemory-policy',
    findUnsafe: ({ maxmemory_policy: policy }) => (policy === 'noeviction' ? undefined : policy),
    advice: 'set noeviction: with any other policy a full server deletes sessions',
  },
  {
    setting: 'appendonly',
    findUnsafe: ({ aof_enabled, save }) =>
      aof_enabled === '0' ? (save === undefined ? 'no' : `no, save "${save}"`) : undefined,
    advice:
      'set yes: without it a restart ends every session, or with snapshots every session that was refreshed since the last one',
  },
  {
    setting: 'appendfsync',
    findUnsafe: ({ aof_enabled, appendfsync }) => (aof_enabled === '1' && appendfsync === 'no' ? 'no' : undefined),
    advice: 'set everysec or always: a crash of the machine loses all writes that the system has buffered',
  },
  {
    setting: 'role',
    findUnsafe: ({ role }, { cluster }) => (role === 'slave' && !cluster ? 'replica' : undefined),
    advice: 'connect to the primary: a replica accepts no writes',
  },
  {
    setting: 'replica-read-only',
    findUnsafe: ({ role, 'replica-read-only': readOnly }) => (role === 'slave' && readOnly === 'no' ? 'no' : undefined),
    advice: 'set yes: the next synchronisation deletes what was written to a replica',
  },
  {
    setting: 'min-replicas-to-write',
    findUnsafe: ({ role, connected_slaves: replicas, 'min-replicas-to-write': min }, { sentinel }) =>
      role === 'master' && (sentinel || Number(replicas) > 0) && min === '0' ? '0' : undefined,
    advice:
      'set 1 on every server: a primary without its replicas accepts rotations that the fail-over loses, and those sessions end',
  },
  {
    setting: 'redis_version',
    findUnsafe: ({ redis_version: version, 'min-replicas-to-write': min }) =>
      !isOlder(version, MIN_VERSION) && isOlder(version, MIN_VERSION_FOR_SCRIPTS) && Number(min) > 0
        ? version
        : undefined,
    advice: `use Redis ${MIN_VERSION_FOR_SCRIPTS.join('.')} or later: before, min-replicas-to-write does not apply to scripts`,
  },
]

const CONFIG_NAMES = ['save', 'appendfsync', 'replica-read-only', 'min-replicas-to-write']

export async function checkServers(client: RedisClient): Promise<Finding[]> {
  // The members of this interface are optional: every client of both drivers has some of them.
  const connection = client as Connection
  const servers = await findServers(connection)
  const sentinel = isNodeRedisSentinel(client) || Array.isArray(connection.options?.['sentinels'])
  const topology = { cluster: servers.length > 1, sentinel }
  const findings = await Promise.all(servers.map((server) => checkServer(server, topology)))
  return [...checkOptions(connection.options), ...findings.flat()]
}

/** Checks the options of ioredis. */
function checkOptions(options: Connection['options'] = {}): Finding[] {
  const { autoResendUnfulfilledCommands: resend, sentinels, failoverDetector: detector } = options
  const findings: (Finding | false)[] = [
    resend === false && {
      node: null,
      setting: 'autoResendUnfulfilledCommands',
      value: 'false',
      advice:
        'set true: without it calls wait for ever when a connection is lost; a command sent twice changes nothing',
    },
    Array.isArray(sentinels) &&
      detector !== true && {
        node: null,
        setting: 'failoverDetector',
        value: 'false',
        advice:
          'set true: without it the client may stay with a primary that was replaced; rotations made there are lost, and those sessions end',
      },
  ]
  return findings.filter((finding) => finding !== false)
}

async function checkServer({ node, send }: Server, { cluster, sentinel }: Topology): Promise<Finding[]> {
  const info = await unlessForbidden(send('INFO'))
  const config = await Promise.all(CONFIG_NAMES.map((name) => unlessForbidden(send('CONFIG', 'GET', name))))
  const settings: Settings = Object.fromEntries([
    ...(typeof info === 'string' ? [...info.matchAll(/^([^:\r\n]+):(.*?)\r?$/gm)].map(([, ...entry]) => entry) : []),
    ...CONFIG_NAMES.map((name, index) => [name, configValue(config[index], name)]),
  ]) as Settings
  const topology = { sentinel, cluster: cluster || settings['cluster_enabled'] === '1' }
  const findings = RULES.flatMap(({ setting, findUnsafe, advice }) => {
    const value = findUnsafe(settings, topology)
    return value === undefined ? [] : [{ node, setting, value, advice }]
  })
  const unchecked = (setting: string, names: readonly string[]) => ({
    node,
    setting,
    value: 'forbidden',
    advice: `could not check ${names.join(', ')}: look them up in the documentation of your provider`,
  })
  if (info === FORBIDDEN) findings.push(unchecked('INFO', ['redis_version', 'maxmemory-policy', 'appendonly']))
  if (config.includes(FORBIDDEN)) findings.push(unchecked('CONFIG', CONFIG_NAMES))
  return findings
}

const FORBIDDEN = Symbol('forbidden')

/** Managed servers forbid or remove commands. Any other error, such as a lost connection, is thrown. */
async function unlessForbidden(reply: Promise<unknown>): Promise<unknown> {
  try {
    return await reply
  } catch (error) {
    if (error instanceof Error && /^(NOPERM|ERR) /.test(error.message)) return FORBIDDEN
    throw error
  }
}

/** The reply is a list of names and values, a Map or an object, depending on protocol and driver. */
function configValue(reply: unknown, name: string): unknown {
  if (Array.isArray(reply)) return reply[1]
  if (reply instanceof Map) return reply.get(name)
  return typeof reply === 'object' && reply !== null ? Reflect.get(reply, name) : undefined
}

function isOlder(version: string | undefined, min: readonly number[]): boolean {
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
  readonly masters?: readonly ClusterNode[]
  readonly replicas?: readonly ClusterNode[]
  nodeClient?(node: ClusterNode): Promise<Connection>
}

interface ClusterNode {
  readonly address: string
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
  return {
    node,
    async send(...command) {
      if (connection.call !== undefined) return connection.call(...command)
      return isNodeRedisSentinel(connection)
        ? connection.sendCommand?.(false, command)
        : connection.sendCommand?.(command)
    },
  }
}
