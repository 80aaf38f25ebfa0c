import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serveBare } from './node.js'
import { createPlayer, playAll, type Player, type Start } from './play.js'
import { script } from './script.js'
import type { WireResponse } from './wire.js'

/** The responses of steps for which a framework or body parser responds itself or changes the request. */
export type Differences = Readonly<
  Record<
    string,
    {
      readonly status: number
      readonly error?: string
      /** All headers, if they differ. */
      readonly headers?: WireResponse['headers']
    }
  >
>

const BUSY_MACHINE_MS = 60_000

/**
 * Plays the script against a server. Status, headers and body of every response must equal those of the endpoints on bare `node:http`.
 * `differences` lists the exceptions. A difference that no longer exists fails the test and must be removed.
 */
export function describeParity(name: string, start: Start, differences: Differences = {}): void {
  describe(`${name} responds like bare node:http`, () => {
    let expected: ReadonlyMap<string, WireResponse>
    let player: Player
    beforeAll(async () => {
      expected = await playAll(serveBare)
      player = await createPlayer(start)
    }, BUSY_MACHINE_MS)
    afterAll(async () => {
      await player.close()
    })

    test('has a step for every difference', () => {
      const names = script.map((step) => step.name)
      expect(names).toEqual(expect.arrayContaining(Object.keys(differences)))
    })

    test.each(script.map((step) => [step.name, step] as const))('%s', async (stepName, step) => {
      const response = await player.play(step)
      const difference = differences[stepName]
      if (difference === undefined) {
        expect(response.status).toBe(step.status)
        expect(response).toEqual(expected.get(stepName))
        return
      }
      expect(response).not.toEqual(expected.get(stepName))
      const { status, error, headers } = difference
      expect({ status: response.status, error: errorOf(response) }).toEqual({ status, error })
      if (headers !== undefined) expect(response.headers).toEqual(headers)
    })
  })
}

/** Returns undefined for a response that is not from an endpoint of this package. */
function errorOf({ body }: WireResponse): unknown {
  try {
    return (JSON.parse(body) as { error?: unknown }).error
  } catch {
    return undefined
  }
}
