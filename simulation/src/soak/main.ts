import { parseArgs } from 'node:util'
import { createRefreshTokens, type RefreshTokens } from '@baton/core'
import { redisStore } from '@baton/store-redis'
import { type FaultProxy, type RedisCluster, startFaultProxy, startRedisCluster } from '@baton/test-servers'
import { chancesOf } from '../simulate/chances.js'
import { createPerson, type Person } from './people.js'
import { serve } from './server.js'
import { ACCESS_SECONDS, GRACE_SECONDS, type Orders, policy, SECRETS } from './shared.js'
import { startWorker, type Worker } from './workers.js'

const USAGE = `pnpm soak -- [--minutes N] [--people N] [--seed S]

Three processes on a Redis Cluster, real clients with two tabs each, thieves, and a fault every few seconds. Loopback only.
  --minutes  how long things go wrong; default 2
  --people   how many are signed in; default 200
  --seed     which faults, in which order; default 1`

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    people: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    worker: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const WORKERS = 3
const CALM_MS = 30_000
/** Of a process that has warmed up: beyond this it leaks. */
const MOST_GROWTH = 1.5

if (values.worker !== undefined) serve(JSON.parse(values.worker) as Orders)
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
  let people: readonly Person[] = []
  try {
    for (let count = 0; count < WORKERS; count += 1) {
      const worker = await startWorker(cluster.nodes.map(({ port }) => port))
      workers.push(worker)
      proxies.push(await startFaultProxy({ target: { port: worker.port } }))
    }
    const service = { cluster, workers, proxies }
    people = await signIn(service)
    process.exitCode = (await soak(service, people)) === 0 ? 0 : 1
  } finally {
    for (const person of people) person.stop()
    for (const worker of workers) worker.stop()
    for (const proxy of proxies) await proxy.stop()
    await cluster.stop()
  }
}

async function signIn({ proxies }: Service): Promise<readonly Person[]> {
  const chances = chancesOf(`${values.seed}/people`)
  const origin = () => `http://127.0.0.1:${String(proxies[chances.between(0, proxies.length - 1)]?.port)}`
  const people: Person[] = []
  for (let count = 0; count < Number(values.people); count += 1)
    people.push(await createPerson({ name: `person ${String(count)}`, origin, chance: () => chances.fraction() }))
  for (const person of people) person.start()
  return people
}

/** Returns how many things were found wrong. */
async function soak(service: Service, people: readonly Person[]): Promise<number> {
  const endsAt = performance.now() + Number(values.minutes) * 60_000
  await sleep(5000)
  const before = await memoryOf(service)
  const faults = await breakThings(service, people, endsAt)
  await calm(service)
  await sleep(CALM_MS)

  const tokens = createRefreshTokens({ store: redisStore(service.cluster.connect()), secrets: SECRETS, policy })
  await letThievesGoOn(people)
  const findings = await audit(people, tokens)
  const after = await memoryOf(service)
  if (after > before * MOST_GROWTH && after - before > 100e6)
    findings.push(`memory grew from ${inMegabytes(before)} to ${inMegabytes(after)}`)
  const keys = await keysIn(service)
  // A family and the place of its subject in the list; whatever is dead has been ended or runs out.
  if (keys > people.length * 2) findings.push(`${String(keys)} keys for ${String(people.length)} families`)

  const stolen = people.filter((person) => person.isStolen()).length
  console.log(
    `${String(people.length)} people, ${String(stolen)} robbed, ${String(faults)} faults, ${String(keys)} keys, ` +
      `${inMegabytes(before)} at first and ${inMegabytes(after)} in the end, ${String(findings.length)} findings`,
  )
  for (const finding of findings) console.log(`  ${finding}`)
  return findings.length
}

async function breakThings(service: Service, people: readonly Person[], endsAt: number): Promise<number> {
  const chances = chancesOf(`${values.seed}/faults`)
  const { cluster, workers, proxies } = service
  const faults: Readonly<Record<string, () => Promise<unknown>>> = {
    'a process is killed': async () => one(workers).kill9(),
    'a Redis node is killed and comes back': async () => {
      const node = one(cluster.nodes)
      await node.kill9()
      await sleep(chances.between(100, 3000))
      await node.restart()
    },
    'a Redis node hangs': async () => {
      const node = one(cluster.nodes)
      node.pause()
      await sleep(chances.between(500, 4000))
      node.resume()
    },
    'answers are late': async () => briefly(one(proxies), (proxy) => proxy.delayAnswers(chances.between(100, 4000))),
    'answers never come': async () => briefly(one(proxies), (proxy) => proxy.blackHole()),
    'a process cannot be reached': async () => briefly(one(proxies), (proxy) => proxy.refuse()),
    'connections are cut': async () => {
      one(proxies).cutAll()
    },
    'an answer is destroyed': async () => {
      void one(proxies).destroyNextAnswer((request) => request.includes('/oauth/token'))
    },
    'a thief comes': async () => {
      // Most are never robbed, so that there is somebody whom nothing may sign out.
      await people[chances.between(0, Math.floor(people.length / 5))]?.steal()
    },
  }
  function one<Item>(items: readonly Item[]): Item {
    const item = items[chances.between(0, items.length - 1)]
    if (item === undefined) throw new Error('there is nothing to choose from')
    return item
  }
  async function briefly(proxy: FaultProxy, begin: (proxy: FaultProxy) => Promise<void>): Promise<void> {
    await begin(proxy)
    await sleep(chances.between(500, 4000))
    await proxy.pass()
  }

  let count = 0
  while (performance.now() < endsAt) {
    const [name, fault] = one(Object.entries(faults))
    console.log(`${new Date().toISOString()} ${name}`)
    await fault()
    count += 1
    await sleep(chances.between(500, 3000))
  }
  return count
}

async function calm({ cluster, proxies }: Service): Promise<void> {
  for (const proxy of proxies) await proxy.pass()
  for (const node of cluster.nodes) node.resume()
  await cluster.healthy()
}

/** The thief and the owner both go on, each after the other's window has closed. */
async function letThievesGoOn(people: readonly Person[]): Promise<void> {
  const robbed = people.filter((person) => person.isStolen())
  for (let round = 0; round < 2; round += 1) {
    await Promise.all(robbed.map((person) => person.thiefRefreshes()))
    await sleep((GRACE_SECONDS + ACCESS_SECONDS + 1) * 1000)
  }
  await Promise.all(robbed.map((person) => person.thiefRefreshes()))
}

async function audit(people: readonly Person[], tokens: RefreshTokens): Promise<string[]> {
  const findings: string[] = []
  for (const person of people) person.stop()
  await sleep((ACCESS_SECONDS + 1) * 1000)
  await Promise.all(
    people.map(async (person) => {
      const isAlive = (await tokens.find(person.familyId)) !== null
      if (person.isStolen()) {
        if (isAlive) findings.push(`${person.name} was robbed and the family lives`)
        return
      }
      const reason = person.signedOut()
      if (reason !== null) findings.push(`${person.name} was signed out: ${reason}`)
      else if (!isAlive) findings.push(`the family of ${person.name} is dead, and no thief was near`)
      else if (!(await isListed(person, tokens))) findings.push(`the family of ${person.name} is not listed`)
      else if (!(await person.renew())) findings.push(`${person.name} is not signed in any more`)
    }),
  )
  return findings
}

async function isListed({ name, familyId }: Person, tokens: RefreshTokens): Promise<boolean> {
  const { items } = await tokens.list({ subject: name })
  return items.some(({ id }) => id === familyId)
}

async function memoryOf({ workers }: Service): Promise<number> {
  const sizes = await Promise.all(workers.map((worker) => worker.memory()))
  return Math.max(...sizes.map((size) => size ?? 0))
}

async function keysIn({ cluster }: Service): Promise<number> {
  const counts = await Promise.all(cluster.nodes.map((node) => node.connect().dbsize()))
  return counts.reduce((sum, count) => sum + count, 0)
}

function inMegabytes(bytes: number): string {
  return `${String(Math.round(bytes / 1e6))} MB`
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
