import { isIoRedis, isNodeRedisSentinel, type RedisClient } from './client.js'

/** A setting under which sessions can get lost, and what to do about it. */
export interface Finding {
  /** `host:port` of one server of a cluster; null where there is but one, and for the client itself. */
  readonly node: string | null
  /** By its name in redis.conf, or as INFO or the client calls it. */
  readonly setting: string
  readonly value: string
  readonly advice: string
}

type Ask = (...command: string[]) => Promise<unknown>

interface Server {
  readonly node: string | null
  readonly ask: Ask
}

/** What one server says about itself; undefined where it says nothing. */
type Settings = Readonly<Record<string, string | undefined>>

/** How the client reaches the server. */
interface Setup {
  readonly clustered: boolean
  /** A fail-over by Sentinel is to be expected. */
  readonly sentinel: boolean
}

interface Rule {
  readonly setting: string
  /** Undefined when all is well, or unknown. */
  readonly bad: (settings: Settings, setup: Setup) => string | undefined
  readonly advice: string
}

const OLDEST = [6, 2] as const
const SCRIPTS_NEED_REPLICAS = [6, 2, 7] as const

const RULES: readonly Rule[] = [
  {
    setting: 'redis_version',
    bad: ({ redis_version: version }) => (version !== undefined && isOlder(version) ? version : undefined),
    advice: `use Redis ${OLDEST.join('.')} or later, or Valkey`,
  },
  {
    setting: 'maxmemory-policy',
    bad: ({ maxmemory_policy: policy }) => (policy === 'noeviction' ? undefined : policy),
    advice: 'set noeviction: under any other policy a full server signs people out, silently',
  },
  {
    setting: 'appendonly',
    bad: ({ aof_enabled, save }) => {
      if (aof_enabled !== '0') return undefined
      return save === undefined ? 'no' : `no, save "${save}"`
    },
    advice:
      'set yes: without it a restart ends every session, and with snapshots alone every session that was refreshed since the last one',
  },
  {
    setting: 'appendfsync',
    bad: ({ aof_enabled, appendfsync }) => (aof_enabled === '1' && appendfsync === 'no' ? 'no' : undefined),
    advice: 'set everysec, or always: a crash of the machine loses all that the system has not written yet',
  },
  {
    setting: 'role',
    bad: ({ role }, { clustered }) => (role === 'slave' && !clustered ? 'replica' : undefined),
    advice: 'connect to the primary: a replica takes no writes',
  },
  {
    setting: 'replica-read-only',
    bad: ({ role, 'replica-read-only': readOnly }) => (role === 'slave' && readOnly === 'no' ? 'no' : undefined),
    advice: 'set yes: what a replica accepts itself is lost at its next synchronisation',
  },
  {
    setting: 'min-replicas-to-write',
    bad: ({ role, connected_slaves: replicas, 'min-replicas-to-write': least }, { sentinel }) =>
      role === 'master' && (sentinel || Number(replicas) > 0) && least === '0' ? '0' : undefined,
    advice:
      'set 1 on every server: a primary that is cut off from its replicas accepts rotations that the fail-over then loses, and those sessions end',
  },
  {
    setting: 'redis_version',
    bad: ({ redis_version: version, 'min-replicas-to-write': least }) =>
      version !== undefined && !isOlder(version) && isOlder(version, SCRIPTS_NEED_REPLICAS) && Number(least) > 0
        ? version
        : undefined,
    advice: `use Redis ${SCRIPTS_NEED_REPLICAS.join('.')} or later: before, min-replicas-to-write does not apply to scripts`,
  },
]

const CONFIG_NAMES = ['save', 'appendfsync', 'replica-read-only', 'min-replicas-to-write']

export async function checkServers(client: RedisClient): Promise<Finding[]> {
  const servers = await serversOf(client)
  const setup = { clustered: servers.length > 1, sentinel: isNodeRedisSentinel(client) || hasSentinels(client) }
  const findings = await Promise.all(servers.map((server) => checkServer(server, setup)))
  return [...checkClient(client), ...findings.flat()]
}

/** The options of ioredis that matter here. */
interface IoRedisOptions {
  readonly autoResendUnfulfilledCommands?: unknown
  readonly sentinels?: unknown
  readonly failoverDetector?: unknown
}

function ioRedisOptions(client: RedisClient): IoRedisOptions {
  const { options } = client as { readonly options?: IoRedisOptions }
  return (isIoRedis(client) ? options : undefined) ?? {}
}

function hasSentinels(client: RedisClient): boolean {
  return Array.isArray(ioRedisOptions(client).sentinels)
}

function checkClient(client: RedisClient): Finding[] {
  const { autoResendUnfulfilledCommands, failoverDetector } = ioRedisOptions(client)
  const findings: Finding[] = []
  if (autoResendUnfulfilledCommands === false)
    findings.push({
      node: null,
      setting: 'autoResendUnfulfilledCommands',
      value: 'false',
      advice: 'leave it on: without it calls hang when a connection is lost. To send a command twice does no harm here',
    })
  if (hasSentinels(client) && failoverDetector !== true)
    findings.push({
      node: null,
      setting: 'failoverDetector',
      value: 'false',
      advice:
        'set true: without it the client may stay with a primary that was replaced; rotations made there are lost, and those sessions end',
    })
  return findings
}

async function checkServer({ node, ask }: Server, setup: Setup): Promise<Finding[]> {
  const info = await unlessForbidden(ask('INFO'))
  const config = await Promise.all(CONFIG_NAMES.map((name) => unlessForbidden(ask('CONFIG', 'GET', name))))
  const settings: Settings = {
    ...(typeof info === 'string' ? Object.fromEntries(linesOf(info)) : {}),
    ...Object.fromEntries(CONFIG_NAMES.map((name, index) => [name, configValue(config[index], name)])),
  }
  const clustered = setup.clustered || settings['cluster_enabled'] === '1'
  const findings = RULES.flatMap(({ setting, bad, advice }) => {
    const value = bad(settings, { ...setup, clustered })
    return value === undefined ? [] : [{ node, setting, value, advice }]
  })
  const hidden = [
    ...(info === FORBIDDEN ? [hiding(node, 'INFO', ['redis_version', 'maxmemory-policy', 'appendonly'])] : []),
    ...(config.includes(FORBIDDEN) ? [hiding(node, 'CONFIG', CONFIG_NAMES)] : []),
  ]
  return [...findings, ...hidden]
}

function hiding(node: string | null, setting: 'INFO' | 'CONFIG', unseen: readonly string[]): Finding {
  const advice = `could not look at ${unseen.join(', ')}: see what your provider says about them`
  return { node, setting, value: 'forbidden', advice }
}

const FORBIDDEN = Symbol('forbidden')

/** Managed servers hide commands or take them away; a lost connection is another matter, and is thrown. */
async function unlessForbidden(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof Error && /^(NOPERM|ERR) /.test(error.message)) return FORBIDDEN
    throw error
  }
}

function linesOf(info: string): [string, string][] {
  return info.split('\r\n').flatMap((line) => {
    const at = line.indexOf(':')
    return at === -1 ? [] : [[line.slice(0, at), line.slice(at + 1)] as [string, string]]
  })
}

/** The answer is a list of names and values, a Map or an object, as protocol and driver like it. */
function configValue(answer: unknown, name: string): string | undefined {
  const value: unknown = Array.isArray(answer)
    ? answer[1]
    : answer instanceof Map
      ? answer.get(name)
      : typeof answer === 'object' && answer !== null
        ? Reflect.get(answer, name)
        : undefined
  return typeof value === 'string' ? value : undefined
}

function isOlder(version: string, oldest: readonly number[] = OLDEST): boolean {
  const parts = version.split('.').map(Number)
  const differing = oldest.findIndex((part, index) => part !== (parts[index] ?? 0))
  return differing !== -1 && (parts[differing] ?? 0) < (oldest[differing] ?? 0)
}

/** The parts of both drivers, and of their clusters, that only this look needs. */
interface Asked {
  readonly options?: { readonly host?: unknown; readonly port?: unknown }
  call?(...command: string[]): Promise<unknown>
  nodes?(role: 'all'): Asked[]
  sendCommand?(command: string[]): Promise<unknown>
  readonly masters?: readonly NodeRedisNode[]
  readonly replicas?: readonly NodeRedisNode[]
  nodeClient?(node: NodeRedisNode): Promise<Asked>
}

interface NodeRedisNode {
  readonly address: string
}

async function serversOf(client: RedisClient): Promise<Server[]> {
  const asked = client as Asked
  if (asked.nodes !== undefined) {
    // A cluster that is still connecting names no node, or only those that it was told of.
    await unlessForbidden(askerOf(asked)('PING'))
    return asked.nodes('all').map((node) => ({
      node: `${String(node.options?.host)}:${String(node.options?.port)}`,
      ask: askerOf(node),
    }))
  }
  if (asked.nodeClient !== undefined) {
    const nodes = [...(asked.masters ?? []), ...(asked.replicas ?? [])]
    return Promise.all(
      nodes.map(async (node) => ({ node: node.address, ask: askerOf(await asked.nodeClient?.(node)) })),
    )
  }
  // Its sendCommand first wants to know whether a replica may answer.
  if (isNodeRedisSentinel(client)) {
    const sentinel = client as unknown as NodeRedisSentinel
    return [{ node: null, ask: (...command) => sentinel.sendCommand(false, command) }]
  }
  return [{ node: null, ask: askerOf(asked) }]
}

interface NodeRedisSentinel {
  sendCommand(isReadonly: boolean, command: string[]): Promise<unknown>
}

function askerOf(asked: Asked | undefined): Ask {
  return async (...command) => asked?.call?.(...command) ?? asked?.sendCommand?.(command)
}
