import { type Memory, script, type Step } from './script.js'
import type { Served } from './serve.js'
import { type Answer, send } from './wire.js'
import { createWorld, type World } from './world.js'

export type Start = (world: World) => Promise<Served>

/** A server with its world, to which the steps of the script are put one after another. */
export interface Player {
  play(step: Step): Promise<Answer>
  close(): Promise<void>
}

export async function createPlayer(start: Start): Promise<Player> {
  const world = await createWorld()
  const server = await start(world)
  const answers = new Map<string, Answer>()
  const answerTo = (name: string) => demand(answers.get(name), `no answer yet to: ${name}`)
  const memory: Memory = {
    issued: (name) => demand(world.issued[name], `no token is called ${name}`),
    member(name, member) {
      const value = (JSON.parse(answerTo(name).body) as Record<string, unknown>)[member]
      return demand(typeof value === 'string' ? value : undefined, `no ${member} in the answer to: ${name}`)
    },
    header: (name, header) => demand(answerTo(name).headers[header]?.[0], `no ${header} in the answer to: ${name}`),
    cookie(name) {
      const [setCookie] = answerTo(name).headers['set-cookie'] ?? []
      return demand(setCookie?.split(';')[0], `no cookie in the answer to: ${name}`)
    },
  }
  return {
    async play(step) {
      const answer = await send(server.port, step.request(memory))
      answers.set(step.name, answer)
      return answer
    },
    close: () => server.close(),
  }
}

/** The whole script, by step. */
export async function playAll(start: Start): Promise<ReadonlyMap<string, Answer>> {
  const player = await createPlayer(start)
  const answers = new Map<string, Answer>()
  for (const step of script) answers.set(step.name, await player.play(step))
  await player.close()
  return answers
}

function demand<Value>(value: Value | undefined, complaint: string): Value {
  if (value === undefined) throw new Error(complaint)
  return value
}
