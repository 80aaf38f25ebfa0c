import { describe, expect, test } from 'vitest'
import { localLock, memoryStorage, type SessionStorage } from '../src/index.js'
import { sturdy } from '../src/storage.js'

describe('a storage that fails', () => {
  function failing() {
    const storage = memoryStorage()
    const outage = { reading: false, writing: false }
    const faulty: SessionStorage = {
      name: storage.name,
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
    return { storage, outage, errors, kept: sturdy(faulty, (error) => errors.push(error)) }
  }

  test('what could not be written is remembered, and written once it can be', async () => {
    const { storage, outage, errors, kept } = failing()
    await kept.swap(null, 'one')
    outage.writing = true
    expect(await kept.swap('one', 'two')).toBe(true)
    expect(await kept.read()).toBe('two')
    expect(await storage.read()).toBe('one')
    outage.writing = false
    expect(await kept.swap('two', 'three')).toBe(true)
    expect(await storage.read()).toBe('three')
    expect(errors).toHaveLength(1)
  })

  test('… unless somebody else has written meanwhile', async () => {
    const { storage, outage, kept } = failing()
    await kept.swap(null, 'one')
    outage.writing = true
    await kept.swap('one', 'two')
    await storage.swap('one', 'somebody else’s')
    expect(await kept.read()).toBe('somebody else’s')
    outage.writing = false
    expect(await kept.swap('two', 'three')).toBe(false)
  })

  test('what cannot be read has not been emptied', async () => {
    const { outage, kept } = failing()
    await kept.swap(null, 'one')
    outage.reading = true
    expect(await kept.read()).toBe('one')
  })
})

test('of two who saw the same, the second does not overwrite what the first has stored', async () => {
  const storage = memoryStorage()
  expect(await storage.swap(null, 'one')).toBe(true)
  expect(await storage.swap(null, 'two')).toBe(false)
  expect(await storage.read()).toBe('one')
})

describe('the lock of one page', () => {
  test('one at a time, in order; who gives up is not waited for', async () => {
    const [lock, same] = [localLock(), localLock()]
    const never = new AbortController().signal
    const release = await lock.acquire('a', never)
    const other = await lock.acquire('b', never)
    const impatient = new AbortController()
    const given = same.acquire('a', impatient.signal)
    const next = same.acquire('a', never)
    impatient.abort(new Error('no more time'))
    await expect(given).rejects.toThrow('no more time')
    release()
    ;(await next)()
    other()
  })
})
