import { describe, expect, it, vi } from 'vitest'
import { createSetup, START } from '../setup.js'
import { appendRevocation, type LoggedRevocation, pageOfLog } from '../../src/store.js'

describe('listRevoked', () => {
  it('returns the sessions that were revoked in any way', async () => {
    const { tokens } = createSetup()
    const [first, second, third] = await Promise.all(['a', 'b', 'b'].map((subject) => tokens.issue({ subject })))
    const begin = await tokens.listRevoked({ maxAgeSeconds: 900 })
    await tokens.revoke({ refreshToken: first!.refreshToken, reason: 'logout' })
    await tokens.revokeSubject('b')
    const { items, hasMore } = await tokens.listRevoked({ cursor: begin.cursor })
    expect(hasMore).toBe(false)
    expect(new Set(items.map(({ id }) => id))).toEqual(new Set([first, second, third].map((each) => each!.family.id)))
    expect(items[0]).toEqual({ id: first!.family.id, revokedAt: START })
  })

  it('rejects a cursor that the store did not return with a ConfigurationError', async () => {
    const { tokens } = createSetup()
    await expect(tokens.listRevoked({ cursor: 'no cursor' })).rejects.toMatchObject({
      name: 'ConfigurationError',
      message: expect.stringMatching(/^option "cursor" is not one that listRevoked returned/),
    })
  })

  it('fails with a StoreError and emits a fault if the store fails or returns no cursor', async () => {
    const { tokens, store, events } = createSetup()
    store.failNext('listRevoked')
    await expect(tokens.listRevoked()).rejects.toMatchObject({ code: 'store_failed' })
    store.listRevoked = async () => ({ items: [], cursor: null as never, hasMore: false })
    await expect(tokens.listRevoked()).rejects.toMatchObject({ code: 'store_broken' })
    expect(events.filter(({ type }) => type === 'fault')).toHaveLength(2)
  })
})

describe('onRevoked', () => {
  it('reports each session that this instance revokes or reads as revoked, until the listener is removed', async () => {
    const { tokens } = createSetup()
    const listener = vi.fn()
    const remove = tokens.onRevoked(listener)
    const { refreshToken, family } = await tokens.issue({ subject: 'alice' })
    expect(listener).not.toHaveBeenCalled()
    await tokens.revoke({ refreshToken })
    expect(listener).toHaveBeenCalledWith(family.id)
    listener.mockClear()
    await tokens.find(family.id)
    expect(listener).toHaveBeenCalledWith(family.id)
    remove()
    listener.mockClear()
    await tokens.find(family.id)
    expect(listener).not.toHaveBeenCalled()
  })

  it('reports a session that reuse revoked, and a listener that throws changes no outcome', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    const { tokens } = createSetup()
    const seen: string[] = []
    tokens.onRevoked(() => {
      throw new Error('listener')
    })
    tokens.onRevoked((id) => void seen.push(id))
    const { refreshToken, family } = await tokens.issue({ subject: 'alice' })
    let latest = refreshToken
    for (let count = 0; count < 2; count += 1) {
      const outcome = await tokens.rotate({ refreshToken: latest })
      if (outcome.ok) latest = outcome.refreshToken
    }
    expect(await tokens.rotate({ refreshToken })).toMatchObject({ ok: false, reason: 'reuse' })
    expect(seen).toContain(family.id)
    expect(warn).toHaveBeenCalled()
    warn.mockRestore()
  })
})

describe('the log of revocations', () => {
  const entry = (id: string, at: number) => ({ id, revocation: { id, at, reason: 'logout' } })
  const append = (log: LoggedRevocation[], id: string, at: number) => {
    appendRevocation(log, entry(id, at) as never)
  }

  it('assigns a position that is greater than all before, and at least the instant', () => {
    const log: LoggedRevocation[] = []
    for (const [id, at] of [
      ['a', 1000],
      ['b', 500],
      ['c', 1000],
      ['d', 5000],
    ] as const)
      append(log, id, at)
    expect(log.map(({ position }) => position)).toEqual([1000, 1001, 1002, 5000])
  })

  it('continues from a cursor of a log that was lost', () => {
    const log: LoggedRevocation[] = []
    append(log, 'a', 1000)
    const { cursor } = pageOfLog(log, { since: 0, limit: 10 })
    const empty: LoggedRevocation[] = []
    append(empty, 'b', 2000)
    expect(pageOfLog(empty, { since: 0, limit: 10, cursor }).items).toMatchObject([{ id: 'b' }])
  })
})
