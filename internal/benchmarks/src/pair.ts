import { startEngines } from './engines.js'
import { startRow } from './measure.js'
import { findRows } from './row.js'

/*
 * Measures whether a second process on the same Redis makes a rotation slower: the CPU time of one server alone, and of
 * two at the same time. Rates are not meaningful, because two servers, their load and Redis do not fit on two cores.
 */

const CLIENTS = 16
const ROUNDS = 3
const MILLISECONDS = Number(process.argv[2] ?? 3) * 1000

const rows = findRows(['baton/node/redis/sealed'])
const { engines, stop } = await startEngines(rows)
// Both start before the sessions are created, because opening an engine deletes its data.
const servers = await Promise.all([...rows, ...rows].map((row) => startRow({ row, engines, profiles: null })))
const [one, other] = await Promise.all(servers.map(createRun))
if (one !== undefined && other !== undefined) {
  await Promise.all([one(), other()])
  for (let round = 1; round <= ROUNDS; round += 1) {
    console.log(`alone:  ${await one()}`)
    console.log(`of two: ${(await Promise.all([one(), other()])).join(' and ')}`)
  }
}
await Promise.all(servers.map((server) => server.stop()))
await stop()

/** Refreshes the chains for a while and returns rate and CPU time. */
async function createRun({ target, server, load }: (typeof servers)[number]): Promise<() => Promise<string>> {
  let chains = await server.issue(CLIENTS)
  return async () => {
    await server.usage()
    const ran = await load(target, chains, CLIENTS, { milliseconds: MILLISECONDS, rotations: Infinity })
    ;({ chains } = ran)
    const { cpuMicros } = await server.usage()
    return `${(ran.rotations / ran.seconds).toFixed(0)}/s at ${cpuMicros.toFixed(0)} µs`
  }
}
