import {
  createRefreshTokens,
  type LegacyTokenSource,
  type RefreshEvent,
  type RotateOutcome,
  type TokenStore,
} from '@baton/core'
import { expect, vi } from 'vitest'

const SECRET = 'the secret of the import tests, 48 bytes in length.'

/** Stands still: no test depends on how long it takes. */
const NOW = Date.now()

/** One process of the new app. Another call with the same store is another process, or the same one after a restart. */
export function app(store: TokenStore, accept: LegacyTokenSource, options: { now?: () => number } = {}) {
  const events: RefreshEvent[] = []
  const tokens = createRefreshTokens({
    store,
    legacyTokens: accept,
    secrets: [SECRET],
    now: () => NOW,
    onEvent: (event) => events.push(event),
    ...options,
  })
  return { ...tokens, events }
}

export function succeeded(outcome: RotateOutcome): Extract<RotateOutcome, { ok: true }> {
  if (!outcome.ok) throw new Error(`expected success, got ${JSON.stringify(outcome)}`)
  return outcome
}

/**
 * What every importer has to keep with every store: fifty first uses at the same moment over several processes, a lost answer, a
 * restart, and theft found out afterwards. Returns the family of it.
 */
export async function moves(
  refreshToken: string,
  { start, clientId = 'first-party' }: { readonly start: () => ReturnType<typeof app>; readonly clientId?: string },
) {
  const apps = [start(), start(), start()]
  const outcomes = await Promise.all(
    Array.from({ length: 50 }, (_, index) => apps[index % apps.length]!.rotate({ refreshToken, clientId })),
  )
  const successors = new Set(outcomes.map((outcome) => succeeded(outcome).refreshToken))
  expect(successors.size).toBe(1)
  const types = apps.flatMap(({ events }) => events.map(({ type }) => type))
  expect(types.filter((type) => type === 'imported')).toHaveLength(1)
  expect(types.filter((type) => type === 'retried')).toHaveLength(49)

  const [successor] = [...successors]
  const restarted = start()
  // No answer arrived: the client asks again, after a restart, and receives what it would have received.
  expect(succeeded(await restarted.rotate({ refreshToken, clientId }))).toMatchObject({
    outcome: 'retried',
    refreshToken: successor,
  })
  const next = succeeded(await restarted.rotate({ refreshToken: successor!, clientId }))
  expect(next.outcome).toBe('rotated')
  return { family: next.family, refreshToken: next.refreshToken, restarted }
}

/** The foreign token once more, after its successor has been used: somebody else holds it. */
export async function isFoundOut(
  refreshToken: string,
  {
    moved,
    clientId = 'first-party',
  }: { readonly moved: Awaited<ReturnType<typeof moves>>; readonly clientId?: string },
): Promise<void> {
  const { restarted } = moved
  expect(await restarted.rotate({ refreshToken, clientId })).toEqual({ ok: false, reason: 'reuse' })
  expect(await restarted.rotate({ refreshToken: moved.refreshToken, clientId })).toEqual({
    ok: false,
    reason: 'revoked',
  })
  expect(restarted.events.filter(({ type }) => type === 'reuse')).toHaveLength(1)
}

/** Waits until the old system has been told, which no answer waits for. */
export async function told(check: () => void | Promise<void>): Promise<void> {
  await vi.waitFor(check, { timeout: 60_000 })
}
