import { afterEach, describe, expect, test, vi } from 'vitest'
import { createEnvironment, memoryStorage, type SessionStorage } from '../src/index.js'
import { localLock } from '../src/platform/lock.js'
import { oauthEndpoints } from '../src/oauth.js'
import type { SessionRecord } from '../src/session/record.js'
import { createRecordStore } from '../src/session/record-store.js'
import { webStorage } from '../src/web-storage.js'

describe('a storage that fails', () => {
  function failing() {
    const storage = memoryStorage()
    const outage = { reading: false, writing: false }
    const faulty: SessionStorage = {
      ...storage,
      async read() {
        if (outage.reading) throw new Error('cannot read')
        return storage.read()
      },
      async swap(before, after) {
        if (outage.writing) throw new Error('cannot write')
        return storage.swap(before, after)
      },
    }
    const errors: unknown[] = []
    const records = createRecordStore({
      environment: createEnvironment(),
      endpoints: oauthEndpoints({ tokenEndpoint: 'https://login.example/token', clientId: 'web' }),
      storage: faulty,
      emit: (_type, event) => errors.push(event),
    })
    return { storage, outage, errors, records }
  }

  const record = (sid: string): SessionRecord => ({
    session: { state: 'ended', reason: 'logout' },
    pause: null,
    revocations: [{ refreshToken: null, sid }],
  })

  test('writes changes later that could not be written', async () => {
    const { storage, outage, errors, records } = failing()
    await records.change(() => record('one'))
    outage.writing = true
    await records.change(() => record('two'))
    expect(await records.read()).toEqual(record('two'))
    expect(await storage.read()).toContain('one')
    outage.writing = false
    await records.change((found) => ({
      ...record('three'),
      ...(found?.session === undefined ? {} : { before: found }),
    }))
    expect(await storage.read()).toMatch(/three.*two/)
    expect(errors).toHaveLength(1)
  })

  test('drops changes that could not be written if another page has written since', async () => {
    const { storage, outage, records } = failing()
    await records.change(() => record('one'))
    outage.writing = true
    await records.change(() => record('two'))
    await storage.swap(await storage.read(), JSON.stringify(record('another page')))
    expect(await records.read()).toEqual(record('another page'))
    outage.writing = false
    const seen: unknown[] = []
    await records.change((found) => {
      seen.push(found)
      return record('three')
    })
    expect(seen).toEqual([record('another page')])
  })

  test('two concurrent changes during a failure are both kept', async () => {
    const { outage, records } = failing()
    await records.change(() => record(''))
    outage.writing = true
    const add = (letter: string) => records.change((found) => record(`${found?.revocations[0]?.sid ?? ''}${letter}`))
    await Promise.all([add('a'), add('b'), add('c')])
    const stored = await records.read()
    // In whatever order, but all of them.
    expect(stored?.revocations[0]).toMatchObject({ sid: expect.stringMatching(/^(?=.*a)(?=.*b)(?=.*c)...$/) })
  })

  test('is not treated as empty', async () => {
    const { outage, records } = failing()
    await records.change(() => record('one'))
    outage.reading = true
    expect(await records.read()).toEqual(record('one'))
  })
})

test('the second of two writers that read the same text does not overwrite the first', async () => {
  const storage = memoryStorage()
  expect(await storage.swap(null, 'one')).toBe(true)
  expect(await storage.swap(null, 'two')).toBe(false)
  expect(await storage.read()).toBe('one')
})

test('localLock is granted to one caller at a time, in order', async () => {
  const lock = localLock()
  const { signal } = new AbortController()
  const order: number[] = []
  const visits = [1, 2, 3].map(async (number) => {
    const release = await lock(signal)
    order.push(number)
    await new Promise((resolve) => setImmediate(resolve))
    order.push(number)
    release()
  })
  await Promise.all(visits)
  expect(order).toEqual([1, 1, 2, 2, 3, 3])
})

describe('Web Storage', () => {
  afterEach(() => vi.unstubAllGlobals())

  test('that is full keeps the old text', async () => {
    const items = new Map<string, string>()
    vi.stubGlobal('localStorage', {
      getItem: (key: string) => items.get(key) ?? null,
      setItem(key: string, value: string) {
        if (value.length > 5) throw new Error('QuotaExceededError')
        items.set(key, value)
      },
    })
    const storage = webStorage()
    expect(await storage.swap(null, 'short')).toBe(true)
    await expect(storage.swap('short', 'longer')).rejects.toThrow()
    expect(await storage.read()).toBe('short')
  })
})
