import { afterEach, describe, expect, it, vi } from 'vitest'
import type { RefreshEvent } from '../../src/index.js'
import { MINUTE, START, expectOk, type TestSetup, createSetup } from '../setup.js'

const LEGACY_TOKEN = 'a-token-of-the-old-system'

interface Case {
  /** Returns the call that revokes an active family. */
  readonly arrange: (setup: TestSetup) => Promise<() => Promise<unknown>>
  /** The store method that revokes it. */
  readonly method?: 'create' | 'revoke'
  /** The events, without the family ids. */
  readonly report: Partial<RefreshEvent>
  /** The result of the same call once the family is revoked. */
  readonly again: unknown
}

const REJECTED = { ok: false, reason: 'revoked' }

const cases: Record<string, Case> = {
  reuse: {
    async arrange({ tokens }) {
      const { refreshToken } = await tokens.issue({ subject: 'alice' })
      const next = expectOk(await tokens.rotate({ refreshToken }))
      expectOk(await tokens.rotate({ refreshToken: next.refreshToken }))
      return () => tokens.rotate({ refreshToken })
    },
    report: { type: 'reuse', generation: 2, presentedGeneration: 0 },
    again: REJECTED,
  },
  'lost rotations': {
    async arrange({ tokens, store }) {
      let { refreshToken } = await tokens.issue({ subject: 'alice' })
      for (let step = 0; step < 3; step += 1) ({ refreshToken } = expectOk(await tokens.rotate({ refreshToken })))
      store.rollBack(2)
      return () => tokens.rotate({ refreshToken })
    },
    report: { type: 'revoked', reason: 'rollback' },
    again: REJECTED,
  },
  'a repeated redemption': {
    async arrange({ tokens }) {
      const reservation = tokens.reserve({ subject: 'alice', expiresInSeconds: 60 })
      expectOk(await tokens.redeem({ reservation, matches: true }))
      return () => tokens.redeem({ reservation, matches: true })
    },
    report: { type: 'reuse', generation: 0, presentedGeneration: null },
    again: REJECTED,
  },
  'a revocation by token': {
    async arrange({ tokens }) {
      const { refreshToken } = await tokens.issue({ subject: 'alice' })
      return () => tokens.revoke({ refreshToken, reason: 'logout' })
    },
    report: { type: 'revoked', reason: 'logout' },
    again: { ok: true, ended: false },
  },
  'a revocation by id': {
    async arrange({ tokens }) {
      const { family } = await tokens.issue({ subject: 'alice' })
      return () => tokens.revoke({ familyId: family.id, subject: 'alice' })
    },
    report: { type: 'revoked', reason: 'client_request' },
    again: { ok: true, ended: false },
  },
  'a revocation of all sessions': {
    async arrange({ tokens }) {
      await tokens.issue({ subject: 'alice' })
      return () => tokens.revokeSubject('alice')
    },
    report: { type: 'revoked', reason: 'subject_request' },
    again: 0,
  },
  'a revocation by a legacy token': {
    async arrange(setup) {
      const legacySource = { lookup: async () => ({ subject: 'alice', expiresAt: START + MINUTE }) }
      const tokens = setup.instance({ legacyTokens: legacySource })
      return () => tokens.revoke({ refreshToken: LEGACY_TOKEN, reason: 'logout' })
    },
    method: 'create',
    report: { type: 'revoked', reason: 'logout' },
    again: { ok: true, ended: false },
  },
}

const isRevocation = ({ type }: RefreshEvent) => type === 'reuse' || type === 'revoked'
const one = Object.entries(cases).map(([name, each]) => [name, each] as const)

afterEach(() => {
  vi.useRealTimers()
})

describe('revocation events (I19)', () => {
  it.each(one)(
    'reports %s at least once if the store rejects after the write',
    async (_name, { arrange, method, report, again }) => {
      const setup = createSetup()
      const call = await arrange(setup)
      setup.clearRecords()
      setup.store.failNext(method ?? 'revoke', { written: true })
      await expect(call()).rejects.toMatchObject({ name: 'StoreError', code: 'store_failed' })
      const names = { subject: 'alice', clientId: 'first-party', familyId: [...setup.store.rows.keys()][0] }
      expect(setup.events.filter(isRevocation)).toEqual([{ at: START, ...names, ...report, unconfirmed: true }])
      expect(setup.events.at(0)).toMatchObject({ type: 'fault', operation: `store.${method ?? 'revoke'}` })
      const outcome = await call()
      if (typeof again === 'object') expect(outcome).toMatchObject(again as object)
      else expect(outcome).toBe(again)
      expect(setup.events.filter(isRevocation)).toHaveLength(1)
    },
  )

  it.each(one)('reports %s at least once if the store replies too late', async (_name, { arrange, method, report }) => {
    vi.useFakeTimers()
    const setup = createSetup({ storeTimeoutSeconds: 2 })
    const call = await arrange(setup)
    setup.clearRecords()
    setup.store.hangNext(method ?? 'revoke')
    const settled = call().catch((error: unknown) => error)
    await vi.advanceTimersByTimeAsync(2000)
    expect(await settled).toMatchObject({ code: 'store_timeout' })
    expect(setup.events.filter(isRevocation)).toMatchObject([{ ...report, unconfirmed: true }])
  })

  it.each(one)('reports %s in the repeated call if the store did not write in the first', async (_name, test) => {
    const { arrange, method, report } = test
    const setup = createSetup()
    const call = await arrange(setup)
    setup.clearRecords()
    setup.store.failNext(method ?? 'revoke')
    await expect(call()).rejects.toMatchObject({ code: 'store_failed' })
    await call()
    expect(setup.events.filter(isRevocation)).toMatchObject([{ ...report, unconfirmed: true }, report])
    expect(setup.events.filter(isRevocation)[1]).not.toHaveProperty('unconfirmed')
  })

  it.each(one)('reports %s once if the driver repeats the write', async (_name, { arrange, method, report }) => {
    const setup = createSetup()
    const call = await arrange(setup)
    setup.clearRecords()
    setup.store.executeTwice([method ?? 'revoke'])
    await call()
    expect(setup.events.filter(isRevocation)).toMatchObject([report])
    expect(setup.events.filter(isRevocation)[0]).not.toHaveProperty('unconfirmed')
  })

  it.each(one)('reports %s once if the driver repeats the write after a purge', async (_name, test) => {
    const { arrange, method, report } = test
    const setup = createSetup()
    const call = await arrange(setup)
    setup.clearRecords()
    setup.store.executeTwice([method ?? 'revoke'], () => setup.instance().purge())
    await call()
    expect(setup.events.filter(isRevocation)).toMatchObject([report])
  })

  it('reports an unconfirmed write also if the family was revoked before, because a fail-over may undo only the first write', async () => {
    const setup = createSetup()
    const { family, refreshToken } = await setup.tokens.issue({ subject: 'alice' })
    await setup.tokens.revoke({ refreshToken })
    setup.clearRecords()
    setup.store.failNext('revoke')
    await expect(setup.tokens.revoke({ refreshToken })).rejects.toMatchObject({ code: 'store_failed' })
    expect(setup.events).toMatchObject([
      { type: 'fault', operation: 'store.revoke' },
      { type: 'revoked', familyId: family.id, reason: 'client_request', unconfirmed: true },
    ])
  })

  it('reports nothing if the store confirms that another call has revoked the family', async () => {
    const setup = createSetup()
    const { refreshToken } = await setup.tokens.issue({ subject: 'alice' })
    await setup.tokens.revoke({ refreshToken })
    setup.clearRecords()
    await setup.tokens.revoke({ refreshToken })
    expect(setup.events).toEqual([])
  })
})
