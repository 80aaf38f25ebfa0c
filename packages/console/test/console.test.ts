import { createHash } from 'node:crypto'
import { createRefreshTokens, ConfigurationError } from '@baton/core'
import { memoryStore } from '@baton/store-memory'
import { describe, expect, test } from 'vitest'
import { consoleEndpoint, memoryEventLog } from '../src/index.js'
import { NOW, question, request, tellStory, world } from './world.js'

describe('closed by default', () => {
  const { tokens } = world()
  const log = memoryEventLog()

  test.each<[string, unknown]>([
    ['no options', undefined],
    ['no authorize', { log }],
    ['an authorize that is no function', { authorize: true, log }],
    ['no log', { authorize: () => 'olga' }],
    ['a misspelt option', { authorize: () => 'olga', log, autorize: 1 }],
  ])('rejects options with %s', (_, options) => {
    expect(() => consoleEndpoint(tokens, options as never)).toThrow(ConfigurationError)
  })

  test.each([null, '', undefined, true])(
    'rejects every request if authorize returns %j, and ends no session',
    async (operator) => {
      const { endpoint, tokens: own } = world({ authorize: () => operator as null })
      const { family } = await own.issue({ subject: 'alice' })
      const requests = [
        request(),
        question({ action: 'find', subject: 'alice' }),
        question({ action: 'counts' }),
        question({ action: 'revoke', subject: 'alice', familyId: family.id }),
        question({ action: 'revoke_all', subject: 'alice' }),
      ]
      for (const each of requests) {
        const { status, body } = await endpoint(each)
        expect(status).toBe(403)
        expect(body).not.toContain(family.id)
      }
      expect(await own.find(family.id)).not.toBeNull()
    },
  )

  test('requests that authorize rejects are limited by address, and those of operators are not', async () => {
    let operator: string | null = null
    const { endpoint } = world({ authorize: () => operator })
    const statuses = []
    for (let index = 0; index < 62; index += 1) statuses.push((await endpoint(request())).status)
    expect(statuses).toEqual([...Array<number>(60).fill(403), 429, 429])
    operator = 'olga'
    const elsewhere = { remoteAddress: '127.0.0.2' }
    for (let index = 0; index < 100; index += 1) expect((await endpoint(request(elsewhere))).status).toBe(200)
    const open = world({ authorize: () => null, rateLimit: false })
    for (let index = 0; index < 100; index += 1) expect((await open.endpoint(request())).status).toBe(403)
  })

  test('rejects the request if authorize throws', async () => {
    const failures: unknown[] = []
    const failure = new Error('the directory is down')
    const { endpoint } = world({ authorize: () => Promise.reject(failure), onError: (error) => failures.push(error) })
    const { status, body } = await endpoint(request())
    expect(status).toBe(500)
    expect(body).not.toContain('directory')
    expect(failures).toEqual([failure])
  })
})

describe('the page', () => {
  test('runs only what is in it', async () => {
    const { endpoint } = world()
    const { status, headers, body } = await endpoint(request())
    expect(status).toBe(200)
    const policy = headers.find(([name]) => name === 'content-security-policy')?.[1] ?? ''
    const hashOf = (text = '') => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
    const scripts = [...(body ?? '').matchAll(/<script>(.*?)<\/script>/gs)]
    expect(scripts).toHaveLength(1)
    expect(policy).toContain(`script-src ${hashOf(scripts[0]?.[1])};`)
    expect(policy).toContain(`style-src ${hashOf(/<style>(.*?)<\/style>/s.exec(body ?? '')?.[1])};`)
    expect(policy).toMatch(/^default-src 'none';/)
    expect(policy).not.toMatch(/unsafe|https?:|\*/)
    expect(body).not.toMatch(/(src|href)="(?!data:)/)
    expect(Object.fromEntries(headers)).toMatchObject({ 'cache-control': 'no-store', 'x-frame-options': 'DENY' })
  })

  test('rejects other methods', async () => {
    expect((await world().endpoint(request({ method: 'PUT' }))).status).toBe(405)
  })
})

describe('a request that the page did not make', () => {
  test.each([
    ['from another origin', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }],
    ['from another subdomain', { 'sec-fetch-site': 'same-site', origin: 'https://other.example' }],
    ['from an old browser, elsewhere', { 'sec-fetch-site': null, origin: 'https://evil.example' }],
    ['from a form', { 'x-baton': null }],
    ['from nowhere', { 'sec-fetch-site': null }],
  ])('%s ends nothing', async (_, headers) => {
    const { endpoint, tokens } = world()
    const { family } = await tokens.issue({ subject: 'alice' })
    const { status } = await endpoint(question({ action: 'revoke_all', subject: 'alice' }, headers))
    expect(status).toBe(403)
    expect(await tokens.find(family.id)).not.toBeNull()
  })

  test('rejects plain HTTP from another machine', async () => {
    const asked = { ...question({ action: 'counts' }), remoteAddress: '203.0.113.7' }
    expect((await world().endpoint(asked)).status).toBe(400)
  })

  test.each([
    [{}],
    [{ action: 'find' }],
    [{ action: 'find', subject: 7 }],
    [{ action: 'find', subject: '' }],
    [{ action: 'find', subject: 'alice', cursor: 'made up' }],
    [{ action: 'find', subject: 'alice', cursor: {} }],
    [{ action: 'revoke', subject: 'alice' }],
    [{ action: 'explode', subject: 'alice' }],
  ])('%j is not understood', async (members) => {
    expect((await world().ask(members)).status).toBe(400)
  })

  test.each(['find', 'revoke', 'revoke_all'])(
    '%s of a subject that no session can have is not understood',
    async (action) => {
      for (const subject of ['\0', '\ud800', 'x'.repeat(1025)])
        expect((await world().ask({ action, subject, familyId: 'x' })).status).toBe(400)
    },
  )
})

describe('sessions of a subject', () => {
  test('returns the active sessions with their history, and the ended ones', async () => {
    const { ask, tokens } = world()
    const { laptop, tablet, phone } = await tellStory(tokens)
    const { body } = await ask({ action: 'find', subject: 'alice' })
    expect(body.living.map((family: { id: string }) => family.id).sort()).toEqual([laptop, phone].sort())
    expect(body.living.find((family: { id: string }) => family.id === laptop)).toMatchObject({
      generation: 2,
      device: 'Firefox on Linux',
      history: { steps: [{ retries: 0 }, { retries: 1 }, { retries: 0 }], end: null },
    })
    expect(body.ended).toEqual([
      {
        id: tablet,
        history: expect.objectContaining({ theft: { at: NOW, presented: 0 }, end: { at: NOW, reason: 'reuse' } }),
      },
    ])
    expect(JSON.stringify(body)).not.toMatch(/brt_|verifier|nonce/)
  })

  test('one is ended, and the operator is named', async () => {
    const { ask, tokens, actions } = world()
    const { laptop, phone } = await tellStory(tokens)
    expect(await ask({ action: 'revoke', subject: 'alice', familyId: laptop })).toEqual({
      status: 200,
      body: { ended: 1 },
    })
    expect(await tokens.find(laptop)).toBeNull()
    expect(await tokens.find(phone)).not.toBeNull()
    expect(actions).toEqual([{ operator: 'olga', at: NOW, action: 'revoke', subject: 'alice', familyId: laptop }])
  })

  test('does not end a session of another subject', async () => {
    const { ask, tokens, actions } = world()
    const { laptop } = await tellStory(tokens)
    expect((await ask({ action: 'revoke', subject: 'bob', familyId: laptop })).status).toBe(404)
    expect(await tokens.find(laptop)).not.toBeNull()
    expect(actions).toEqual([])
  })

  test('all are ended', async () => {
    const { ask, tokens, actions } = world()
    await tellStory(tokens)
    expect(await ask({ action: 'revoke_all', subject: 'alice' })).toEqual({ status: 200, body: { ended: 2 } })
    expect((await tokens.list({ subject: 'alice' })).items).toEqual([])
    expect((await ask({ action: 'find', subject: 'alice' })).body).toMatchObject({ living: [], ended: { length: 3 } })
    expect(actions).toEqual([{ operator: 'olga', at: NOW, action: 'revoke_all', subject: 'alice', familyId: null }])
  })

  test('many come page by page', async () => {
    const { ask, tokens } = world()
    for (let count = 0; count < 25; count += 1) await tokens.issue({ subject: 'alice' })
    const { body: first } = await ask({ action: 'find', subject: 'alice' })
    const { body: second } = await ask({ action: 'find', subject: 'alice', cursor: first.cursor })
    expect([first.living.length, second.living.length, second.cursor]).toEqual([20, 5, null])
    expect(new Set([...first.living, ...second.living].map(({ id }: { id: string }) => id)).size).toBe(25)
  })

  test('a store that fails is 503', async () => {
    const broken = { ...memoryStore(), list: () => Promise.reject(new Error('password=hunter2')) }
    const tokens = createRefreshTokens({ store: broken, secrets: ['s'.repeat(32)] })
    const endpoint = consoleEndpoint(tokens, {
      authorize: () => 'olga',
      log: memoryEventLog(),
      onError: () => undefined,
    })
    const { status, body } = await endpoint(question({ action: 'find', subject: 'alice' }))
    expect(status).toBe(503)
    expect(body).not.toContain('hunter2')
  })
})
