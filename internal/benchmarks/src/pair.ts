import { startEngines } from './engines.js'
import { startRow } from './measure.js'
import { rowsNamed } from './row.js'

/*
 * Whether a second process on the same Redis makes a rotation dearer: its CPU in one server alone, and in each of two at once. Two
 * servers, their load and Redis do not fit on two cores, so rates would only tell who got how much of them.
 */

const CLIENTS = 16
const ROUNDS = 3
const MILLISECONDS = Number(process.argv[2] ?? 3) * 1000

const rows = rowsNamed(['baton/node/redis/sealed'])
const { engines, stop } = await startEngines(rows)
// Both before anybody signs in: whoever opens the engine empties it.
const servers = await Promise.all([...rows, ...rows].map((row) => startRow({ row, engines, profiles: null })))
const [one, other] = await Promise.all(servers.map(runsOf))
if (one !== undefined && other !== undefined) {
  await Promise.all([one(), other()])
  for (let round = 1; round <= ROUNDS; round += 1) {
    console.log(`alone:  ${await one()}`)
    console.log(`of two: ${(await Promise.all([one(), other()])).join(' and ')}`)
  }
}
await Promise.all(servers.map((server) => server.stop()))
await stop()

/** Follows the chains of its clients for a while, and tells what it has cost. */
async function runsOf({ target, server, load }: (typeof servers)[number]): Promise<() => Promise<string>> {
  let chains = await server.issue(CLIENTS)
  return async () => {
    await server.usage()
    const ran = await load(target, chains, CLIENTS, { milliseconds: MILLISECONDS, rotations: Infinity })
    ;({ chains } = ran)
    const { cpuMicros } = await server.usage()
    return `${(ran.rotations / ran.seconds).toFixed(0)}/s at ${cpuMicros.toFixed(0)} µs`
  }
}
