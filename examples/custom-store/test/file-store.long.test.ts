import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRefreshTokens } from '@baton/core'
import { crashCases, linearizabilityCases, modelCases, tokenStoreCases } from '@baton/store-testkit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fileStore } from '../src/file-store.js'
import { otherProcess } from './other-process.js'

const parent = mkdtempSync(join(tmpdir(), 'baton-files-'))
const freshFolder = () => mkdtempSync(join(parent, 'store-'))
const others: ReturnType<typeof otherProcess>[] = []

beforeAll(() => {
  others.push(otherProcess(), otherProcess())
})
afterAll(async () => {
  await Promise.all(others.map((other) => other.kill()))
  rmSync(parent, { recursive: true })
})

const inTwoProcesses = () => {
  const folder = freshFolder()
  return { store: fileStore(folder), another: () => others[0]!.storeIn(folder) }
}

describe('two processes', () => {
  for (const { name, run } of tokenStoreCases(inTwoProcesses)) test(name, run)
  for (const { name, run } of modelCases(inTwoProcesses, { runs: 10 })) test(name, run)
})

describe('three processes', () => {
  const openStores = () => {
    const folder = freshFolder()
    return { stores: [fileStore(folder), ...others.map((other) => other.storeIn(folder))] }
  }
  for (const { name, run } of linearizabilityCases(openStores, { histories: 25 })) test(name, run)
})

describe('kill -9', () => {
  const openCrashable = () => {
    const folder = freshFolder()
    let running = otherProcess()
    const reopen = () => {
      running = otherProcess()
      return running.storeIn(folder)
    }
    return { store: running.storeIn(folder), kill: () => running.kill(), reopen, close: () => running.kill() }
  }
  for (const { name, run } of crashCases(openCrashable)) test(name, run)
})

test('core rotates tokens with this store', async () => {
  const folder = freshFolder()
  const open = () =>
    createRefreshTokens({ store: fileStore(folder), secrets: ['a secret of at least thirty-two bytes'] })
  const { refreshToken } = await open().issue({ subject: 'user-1' })
  const answers = await Promise.all([open(), open()].map((tokens) => tokens.rotate({ refreshToken })))
  expect(answers.map((answer) => answer.ok && answer.outcome).sort()).toEqual(['retried', 'rotated'])
})

test.each(['999999999.5.gone', `${String(process.pid)}.5.the-last-process-of-this-number`])(
  'releases a lock whose holder is dead: %s',
  async (holder) => {
    const folder = freshFolder()
    const store = fileStore(folder)
    const claim = { key: 'key', owner: 'first', expiresAt: 2 }
    await store.claimOnce(claim, 1)
    const [lock] = readdirSync(join(folder, 'locks')).map((name) => join(folder, 'locks', name))
    rmSync(join(lock!, 'free'))
    writeFileSync(join(lock!, holder), '')
    expect(await Promise.all([1, 2].map(() => store.claimOnce({ ...claim, owner: 'other' }, 1)))).toEqual([
      'first',
      'first',
    ])
    expect(readdirSync(lock!)).toEqual(['free'])
  },
)

test('rejects a call for an invalid file and leaves the file unchanged', async () => {
  const folder = freshFolder()
  const store = fileStore(folder)
  mkdirSync(join(folder, 'keys'))
  const claim = { key: 'key', owner: 'first', expiresAt: 2 }
  await store.claimOnce(claim, 1)
  const [file] = readdirSync(join(folder, 'keys')).map((name) => join(folder, 'keys', name))
  writeFileSync(file!, '{"half":')
  await expect(store.claimOnce(claim, 1)).rejects.toThrow(SyntaxError)
  await expect(store.purge(9, 9)).rejects.toThrow(SyntaxError)
})
