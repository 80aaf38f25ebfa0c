import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serveBare } from './node.js'
import { createPlayer, playAll, type Player, type Start } from './play.js'
import { script } from './script.js'
import type { Answer } from './wire.js'

/** Where something in front of the endpoint answers by itself or has lost what the endpoint would have gone by: what then comes. */
export type Differences = Readonly<
  Record<
    string,
    {
      readonly status: number
      readonly error?: string
      /** All of them, where they differ. */ readonly headers?: Answer['headers']
    }
  >
>

const BUSY_MACHINE_MS = 60_000

/**
 * Puts the script to a server and demands of every answer that its status, its headers and its body are the very ones that the
 * endpoints give on bare `node:http`. `differences` are demanded as well: one that has gone must be struck from the list.
 */
export function describeParity(name: string, start: Start, differences: Differences = {}): void {
  describe(`${name} answers like bare node:http`, () => {
    let expected: ReadonlyMap<string, Answer>
    let player: Player
    beforeAll(async () => {
      expected = await playAll(serveBare)
      player = await createPlayer(start)
    }, BUSY_MACHINE_MS)
    afterAll(async () => {
      await player.close()
    })

    test('every difference is one of a step', () => {
      const names = script.map((step) => step.name)
      expect(names).toEqual(expect.arrayContaining(Object.keys(differences)))
    })

    test.each(script.map((step) => [step.name, step] as const))('%s', async (stepName, step) => {
      const answer = await player.play(step)
      const difference = differences[stepName]
      if (difference === undefined) {
        expect(answer.status).toBe(step.status)
        expect(answer).toEqual(expected.get(stepName))
        return
      }
      expect(answer).not.toEqual(expected.get(stepName))
      const { status, error, headers } = difference
      expect({ status: answer.status, error: errorOf(answer) }).toEqual({ status, error })
      if (headers !== undefined) expect(answer.headers).toEqual(headers)
    })
  })
}

/** Undefined for an answer that is not one of ours. */
function errorOf({ body }: Answer): unknown {
  try {
    return (JSON.parse(body) as { error?: unknown }).error
  } catch {
    return undefined
  }
}
