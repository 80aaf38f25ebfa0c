import {
  createRefreshTokens,
  type LegacyTokenSource,
  type RefreshEvent,
  type RotateOutcome,
  type TokenStore,
} from '@baton/core'
import { expect, vi } from 'vitest'

const SECRET = 'the secret of the import tests, 48 bytes in length.'

/** The clock does not advance, so that no test depends on its duration. */
const NOW = Date.now()

/** Creates a process of the new app. Another call with the same store is another process, or the same one after a restart. */
export function createApp(store: TokenStore, accept: LegacyTokenSource, options: { now?: () => number } = {}) {
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

export function expectSuccess(outcome: RotateOutcome): Extract<RotateOutcome, { ok: true }> {
  if (!outcome.ok) throw new Error(`expected success, got ${JSON.stringify(outcome)}`)
  return outcome
}

/** Imports a token by 50 parallel requests to three processes, then repeats the request after a restart. Expects one import. */
export async function expectImportedOnce(
  refreshToken: string,
  {
    start,
    clientId = 'first-party',
  }: { readonly start: () => ReturnType<typeof createApp>; readonly clientId?: string },
) {
  const apps = [start(), start(), start()]
  const outcomes = await Promise.all(
    Array.from({ length: 50 }, (_, index) => apps[index % apps.length]!.rotate({ refreshToken, clientId })),
  )
  const successors = new Set(outcomes.map((outcome) => expectSuccess(outcome).refreshToken))
  expect(successors.size).toBe(1)
  const types = apps.flatMap(({ events }) => events.map(({ type }) => type))
  expect(types.filter((type) => type === 'imported')).toHaveLength(1)
  expect(types.filter((type) => type === 'retried')).toHaveLength(49)

  const [successor] = [...successors]
  const restarted = start()
  // The response was lost: the client repeats the request after a restart and receives the same token.
  expect(expectSuccess(await restarted.rotate({ refreshToken, clientId }))).toMatchObject({
    outcome: 'retried',
    refreshToken: successor,
  })
  const next = expectSuccess(await restarted.rotate({ refreshToken: successor!, clientId }))
  expect(next.outcome).toBe('rotated')
  return { family: next.family, refreshToken: next.refreshToken, restarted }
}

/** Presents the imported token again after its successor was used, and expects that reuse is detected. */
export async function expectReuse(
  refreshToken: string,
  {
    moved,
    clientId = 'first-party',
  }: { readonly moved: Awaited<ReturnType<typeof expectImportedOnce>>; readonly clientId?: string },
): Promise<void> {
  const { restarted } = moved
  expect(await restarted.rotate({ refreshToken, clientId })).toEqual({ ok: false, reason: 'reuse' })
  expect(await restarted.rotate({ refreshToken: moved.refreshToken, clientId })).toEqual({
    ok: false,
    reason: 'revoked',
  })
  expect(restarted.events.filter(({ type }) => type === 'reuse')).toHaveLength(1)
}

/** Waits for a call to the old system that no response waits for. */
export async function waitForCall(check: () => void | Promise<void>): Promise<void> {
  await vi.waitFor(check, { timeout: 60_000 })
}
