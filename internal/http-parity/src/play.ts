import { type Memory, script, type Step } from './script.js'
import type { Served } from './serve.js'
import { type WireResponse, send } from './wire.js'
import { createWorld, type World } from './world.js'

export type Start = (world: World) => Promise<Served>

/** A server to which the steps of the script are sent one after another. */
export interface Player {
  play(step: Step): Promise<WireResponse>
  close(): Promise<void>
}

export async function createPlayer(start: Start): Promise<Player> {
  const world = await createWorld()
  const server = await start(world)
  const responses = new Map<string, WireResponse>()
  const responseTo = (name: string) => assertDefined(responses.get(name), `no response yet to: ${name}`)
  const memory: Memory = {
    issued: (name) => assertDefined(world.issued[name], `no token has the name ${name}`),
    member(name, member) {
      const value = (JSON.parse(responseTo(name).body) as Record<string, unknown>)[member]
      return assertDefined(typeof value === 'string' ? value : undefined, `no ${member} in the response to: ${name}`)
    },
    header: (name, header) =>
      assertDefined(responseTo(name).headers[header]?.[0], `no ${header} in the response to: ${name}`),
    cookie(name) {
      const [setCookie] = responseTo(name).headers['set-cookie'] ?? []
      return assertDefined(setCookie?.split(';')[0], `no cookie in the response to: ${name}`)
    },
  }
  return {
    async play(step) {
      const response = await send(server.port, step.request(memory))
      responses.set(step.name, response)
      return response
    },
    close: () => server.close(),
  }
}

/** Plays the whole script. Returns the responses by the name of the step. */
export async function playAll(start: Start): Promise<ReadonlyMap<string, WireResponse>> {
  const player = await createPlayer(start)
  const responses = new Map<string, WireResponse>()
  for (const step of script) responses.set(step.name, await player.play(step))
  await player.close()
  return responses
}

function assertDefined<Value>(value: Value | undefined, message: string): Value {
  if (value === undefined) throw new Error(message)
  return value
}
