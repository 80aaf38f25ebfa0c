import { parseArgs } from 'node:util'
import { createRefreshTokens, type RefreshTokens } from '@baton/core'
import { redisStore } from '@baton/store-redis'
import { type FaultProxy, type RedisCluster, startFaultProxy, startRedisCluster } from '@baton/test-servers'
import { createRng } from '../simulate/rng.js'
import { createSoakUser, type SoakUser } from './users.js'
import { serve } from './server.js'
import { ACCESS_SECONDS, GRACE_SECONDS, type WorkerOptions, policy, SECRETS } from './shared.js'
import { startWorker, type Worker } from './workers.js'

const USAGE = `pnpm soak -- [--minutes N] [--users N] [--seed S]

Three processes on a Redis Cluster, real clients with two tabs each, attackers, and a fault every few seconds. Loopback only.
  --minutes  how long faults are injected; default 2
  --users    number of signed-in users; default 200
  --seed     seed of the faults and their order; default 1`

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    users: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    worker: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const WORKERS = 3
const RECOVERY_MS = 30_000
/** Maximum growth of the memory of a process after warming up. More is a leak. */
const MAX_MEMORY_GROWTH = 1.5

if (values.worker !== undefined) serve(JSON.parse(values.worker) as WorkerOptions)
else if (values.help) console.log(USAGE)
else await main()

interface Service {
  readonly cluster: RedisCluster
  readonly workers: readonly Worker[]
  readonly proxies: readonly FaultProxy[]
}

async function main(): Promise<void> {
  const cluster = await startRedisCluster({ nodes: 3, appendonly: 'always' })
  const workers: Worker[] = []
  const proxies: FaultProxy[] = []
  let users: readonly SoakUser[] = []
  try {
    for (let count = 0; count < WORKERS; count += 1) {
      const worker = await startWorker(cluster.nodes.map(({ port }) => port))
      workers.push(worker)
      proxies.push(await startFaultProxy({ target: { port: worker.port } }))
    }
    const service = { cluster, workers, proxies }
    users = await signIn(service)
    process.exitCode = (await soak(service, users)) === 0 ? 0 : 1
  } finally {
    for (const user of users) user.stop()
    for (const worker of workers) worker.stop()
    for (const proxy of proxies) await proxy.stop()
    await cluster.stop()
  }
}

async function signIn({ proxies }: Service): Promise<readonly SoakUser[]> {
  const rng = createRng(`${values.seed}/people`)
  const origin = () => `http://127.0.0.1:${String(proxies[rng.between(0, proxies.length - 1)]?.port)}`
  const users: SoakUser[] = []
  for (let count = 0; count < Number(values.users); count += 1)
    users.push(await createSoakUser({ name: `user ${String(count)}`, origin, chance: () => rng.fraction() }))
  for (const user of users) user.start()
  return users
}

/** Injects faults, checks the result and returns the number of findings. */
async function soak(service: Service, users: readonly SoakUser[]): Promise<number> {
  const endsAt = performance.now() + Number(values.minutes) * 60_000
  await sleep(5000)
  const before = await measureMemory(service)
  const faults = await injectFaults(service, users, endsAt)
  await restoreService(service)
  await sleep(RECOVERY_MS)

  const tokens = createRefreshTokens({ store: redisStore(service.cluster.connect()), secrets: SECRETS, policy })
  await refreshAsAttackers(users)
  const findings = await audit(users, tokens)
  const after = await measureMemory(service)
  if (after > before * MAX_MEMORY_GROWTH && after - before > 100e6)
    findings.push(`memory grew from ${formatMegabytes(before)} to ${formatMegabytes(after)}`)
  const keys = await countKeys(service)
  // Each family has its record and its entry in the list of its subject. Ended families expire.
  if (keys > users.length * 2) findings.push(`${String(keys)} keys for ${String(users.length)} families`)

  const stolen = users.filter((user) => user.isStolen()).length
  console.log(
    `${String(users.length)} users, ${String(stolen)} attacked, ${String(faults)} faults, ${String(keys)} keys, ` +
      `${formatMegabytes(before)} at the start and ${formatMegabytes(after)} at the end, ${String(findings.length)} findings`,
  )
  for (const finding of findings) console.log(`  ${finding}`)
  return findings.length
}

async function injectFaults(service: Service, users: readonly SoakUser[], endsAt: number): Promise<number> {
  const rng = createRng(`${values.seed}/faults`)
  const { cluster, workers, proxies } = service
  const faults: Readonly<Record<string, () => Promise<unknown>>> = {
    'a process is killed': async () => pick(workers).kill9(),
    'a Redis node is killed and comes back': async () => {
      const node = pick(cluster.nodes)
      await node.kill9()
      await sleep(rng.between(100, 3000))
      await node.restart()
    },
    'a Redis node hangs': async () => {
      const node = pick(cluster.nodes)
      node.pause()
      await sleep(rng.between(500, 4000))
      node.resume()
    },
    'responses are delayed': async () =>
      temporarily(pick(proxies), (proxy) => proxy.delayAnswers(rng.between(100, 4000))),
    'responses never arrive': async () => temporarily(pick(proxies), (proxy) => proxy.blackHole()),
    'a process is unreachable': async () => temporarily(pick(proxies), (proxy) => proxy.refuse()),
    'connections are cut': async () => {
      pick(proxies).cutAll()
    },
    'a response is lost': async () => {
      void pick(proxies).destroyNextAnswer((request) => request.includes('/oauth/token'))
    },
    'an attacker copies a token': async () => {
      // Most users are never attacked, so that some must stay signed in.
      await users[rng.between(0, Math.floor(users.length / 5))]?.steal()
    },
  }
  function pick<Item>(items: readonly Item[]): Item {
    const item = items[rng.between(0, items.length - 1)]
    if (item === undefined) throw new Error('cannot pick from an empty list')
    return item
  }
  async function temporarily(proxy: FaultProxy, begin: (proxy: FaultProxy) => Promise<void>): Promise<void> {
    await begin(proxy)
    await sleep(rng.between(500, 4000))
    await proxy.pass()
  }

  let count = 0
  while (performance.now() < endsAt) {
    const [name, fault] = pick(Object.entries(faults))
    console.log(`${new Date().toISOString()} ${name}`)
    await fault()
    count += 1
    await sleep(rng.between(500, 3000))
  }
  return count
}

async function restoreService({ cluster, proxies }: Service): Promise<void> {
  for (const proxy of proxies) await proxy.pass()
  for (const node of cluster.nodes) node.resume()
  await cluster.healthy()
}

/** Lets attackers and owners refresh in turns, each after the window of the other has closed. */
async function refreshAsAttackers(users: readonly SoakUser[]): Promise<void> {
  const compromised = users.filter((user) => user.isStolen())
  for (let round = 0; round < 2; round += 1) {
    await Promise.all(compromised.map((user) => user.refreshAsAttacker()))
    await sleep((GRACE_SECONDS + ACCESS_SECONDS + 1) * 1000)
  }
  await Promise.all(compromised.map((user) => user.refreshAsAttacker()))
}

async function audit(users: readonly SoakUser[], tokens: RefreshTokens): Promise<string[]> {
  const findings: string[] = []
  for (const user of users) user.stop()
  await sleep((ACCESS_SECONDS + 1) * 1000)
  await Promise.all(
    users.map(async (user) => {
      const isAlive = (await tokens.find(user.familyId)) !== null
      if (user.isStolen()) {
        if (isAlive) findings.push(`${user.name} was attacked and the family is active`)
        return
      }
      const reason = user.signedOut()
      if (reason !== null) findings.push(`${user.name} was signed out: ${reason}`)
      else if (!isAlive) findings.push(`the family of ${user.name} has ended without an attack`)
      else if (!(await isListed(user, tokens))) findings.push(`the family of ${user.name} is not listed`)
      else if (!(await user.renew())) findings.push(`${user.name} cannot refresh any more`)
    }),
  )
  return findings
}

async function isListed({ name, familyId }: SoakUser, tokens: RefreshTokens): Promise<boolean> {
  const { items } = await tokens.list({ subject: name })
  return items.some(({ id }) => id === familyId)
}

async function measureMemory({ workers }: Service): Promise<number> {
  const sizes = await Promise.all(workers.map((worker) => worker.memory()))
  return Math.max(...sizes.map((size) => size ?? 0))
}

async function countKeys({ cluster }: Service): Promise<number> {
  const counts = await Promise.all(cluster.nodes.map((node) => node.connect().dbsize()))
  return counts.reduce((sum, count) => sum + count, 0)
}

function formatMegabytes(bytes: number): string {
  return `${String(Math.round(bytes / 1e6))} MB`
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
