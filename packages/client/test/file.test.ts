import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { sessionFile } from '../src/file.js'
import { createEnvironment, createSession } from '../src/index.js'
import { oauthEndpoints } from '../src/oauth.js'
import { bundle } from './bundle.js'
import { CLIENT, gate, startServer, type TestServer } from './server.js'

let folder: string
let path: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'baton-file-'))
  path = join(folder, 'session.json')
})

afterEach(() => rmSync(folder, { recursive: true }))

describe('a session in a file', () => {
  test('can be read by the owner only, and is the only file', async () => {
    const storage = sessionFile(path)
    expect(await storage.swap(null, 'one')).toBe(true)
    expect(await storage.swap(null, 'two')).toBe(false)
    expect(await storage.swap('one', 'two')).toBe(true)
    expect(await storage.read()).toBe('two')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    await expect.poll(() => readdirSync(folder)).toEqual(['session.json'])
  })

  test('a write removes drafts of killed processes', async () => {
    writeFileSync(`${path}.draft.killed`, 'tokens')
    await sessionFile(path).swap(null, 'one')
    expect(readdirSync(folder)).toEqual(['session.json'])
  })

  test('a writer whose lock was taken over does not overwrite newer data', async () => {
    const writing = sessionFile(path).swap(null, 'late')
    const isWriting = () => readdirSync(folder).some((name) => name.includes('.draft.'))
    while (!isWriting()) await new Promise((resolve) => setImmediate(resolve))
    // Another process takes the lock over meanwhile.
    writeFileSync(`${path}.write.2`, 'other')
    await expect(writing).rejects.toThrow('taken over')
    expect(await sessionFile(path).read()).toBeNull()
    expect(readdirSync(folder)).toEqual(['session.json.write.2'])
  })

  test('one of many writers that read the same text succeeds', async () => {
    const files = Array.from({ length: 8 }, () => sessionFile(path))
    const swapped = await Promise.all(files.map((file, index) => file.swap(null, String(index))))
    expect(swapped.filter(Boolean)).toHaveLength(1)
    expect(await files[0]?.read()).toBe(String(swapped.indexOf(true)))
  })

  test('a missing directory causes an error, and the session continues in memory', async () => {
    const storage = sessionFile(join(folder, 'nowhere', 'session.json'))
    await expect(storage.swap(null, 'one')).rejects.toThrow('ENOENT')
    const endpoints = oauthEndpoints({ tokenEndpoint: 'https://login.example/token', clientId: CLIENT })
    const session = createSession({ endpoints, storage })
    const errors: unknown[] = []
    session.on('storageFailed', ({ error }) => errors.push(error))
    await session.login({ access_token: 'at', token_type: 'Bearer', expires_in: 900 })
    expect(await session.getAccessToken()).toBe('at')
    expect(errors.length).toBeGreaterThan(0)
  })
})

describe('the lock of a file', () => {
  const never = new AbortController().signal
  const acquire = (staleSeconds: number, signal = never) => sessionFile(path, { staleSeconds }).lock(signal)

  test('is granted to one caller at a time', async () => {
    let inside = 0
    const visits = Array.from({ length: 10 }, async () => {
      const release = await acquire(10)
      inside += 1
      expect(inside).toBe(1)
      await new Promise((resolve) => setImmediate(resolve))
      inside -= 1
      release()
    })
    await Promise.all(visits)
    await expect.poll(() => readdirSync(folder)).toEqual([])
  })

  test('is not taken from a living holder', async () => {
    const release = await acquire(0.5)
    await expect(acquire(0.5, AbortSignal.timeout(1500))).rejects.toThrow()
    release()
    ;(await acquire(0.5))()
  })

  test('can be acquired immediately after its release', async () => {
    const release = await acquire(10)
    release()
    expect(readdirSync(folder)).toEqual([])
  })

  test('is taken over once, however many files dead processes left', async () => {
    for (const number of [1, 2, 4]) writeFileSync(`${path}.lock.${String(number)}`, 'dead')
    const release = await acquire(0.3)
    expect(readdirSync(folder)).toEqual(['session.json.lock.5'])
    release()
    ;(await acquire(60, AbortSignal.timeout(30_000)))()
  })

  test('of a dead process is taken over by one waiting caller', async () => {
    writeFileSync(`${path}.lock.3`, 'dead')
    utimesSync(`${path}.lock.3`, new Date(0), new Date(0))
    let inside = 0
    const visits = Array.from({ length: 6 }, async () => {
      const release = await acquire(0.3)
      inside += 1
      expect(inside).toBe(1)
      await new Promise((resolve) => setImmediate(resolve))
      inside -= 1
      release()
    })
    await Promise.all(visits)
    await expect.poll(() => readdirSync(folder)).toEqual([])
  })
})

describe('processes that share a file', () => {
  let server: TestServer
  let worker: Awaited<ReturnType<typeof bundle>>
  const children: ChildProcess[] = []

  beforeAll(async () => (worker = await bundle('process.ts', 'node')))
  afterAll(() => worker.remove())
  beforeEach(async () => {
    server = await startServer()
    // Signed in an hour ago, by the clock of all who come later.
    const environment = { ...createEnvironment(), now: () => Date.now() - 3_600_000 }
    const endpoints = oauthEndpoints({ tokenEndpoint: server.origin, clientId: CLIENT })
    const session = createSession({ endpoints, storage: sessionFile(path), environment })
    await session.login(await server.signIn())
  })
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await server.stop()
  })

  async function start(staleSeconds: number): Promise<ChildProcess> {
    const child = fork(worker.path, [server.origin, path, String(staleSeconds)])
    children.push(child)
    await once(child, 'message')
    return child
  }

  async function ask(child: ChildProcess): Promise<{ token?: string; error?: string; heard: string[] }> {
    child.send('go')
    const [answer] = await once(child, 'message')
    return answer
  }

  test('CL-03 refresh once if their token has expired', async () => {
    const crowd = await Promise.all(Array.from({ length: 8 }, () => start(10)))
    const answers = await Promise.all(crowd.map(ask))
    expect(new Set(answers.map(({ token }) => token)).size).toBe(1)
    expect(answers.map(({ heard }) => heard.at(-1)).sort()).toEqual(['refreshed', ...Array(7).fill('synced')])
    expect(server.asked('/oauth/token')).toHaveLength(1)
    expect(server.events.map(({ type }) => type)).toEqual(['issued', 'rotated'])
  })

  test('release their lock when they exit', async () => {
    const child = await start(60)
    child.send('exit with the lock')
    await once(child, 'exit')
    expect(readdirSync(folder)).toEqual(['session.json'])
  })

  test('report a full disk and leave no files behind', async () => {
    const limited = ['-c', 'ulimit -f 0 && exec "$0" "$@"', process.execPath, worker.path, server.origin, path, '60']
    const child = spawn('/bin/sh', limited, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    children.push(child)
    await once(child, 'message')
    const { token, heard } = await ask(child)
    expect(token).toMatch(/^eyJ/)
    expect(heard).toContain('storageFailed EFBIG')
    expect(heard).toContain('refreshed')
    expect(readdirSync(folder)).toEqual(['session.json'])
    ;(await sessionFile(path, { staleSeconds: 60 }).lock(AbortSignal.timeout(30_000)))()
  })

  test('report a read-only directory and continue in memory', async () => {
    chmodSync(path, 0o644)
    chmodSync(folder, 0o555)
    chmodSync(dirname(worker.path), 0o755)
    // For root no directory is read-only.
    const nobody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}
    const child = fork(worker.path, [server.origin, path, '60'], nobody)
    children.push(child)
    await once(child, 'message')
    const { token, heard } = await ask(child)
    chmodSync(folder, 0o755)
    expect(token).toMatch(/^eyJ/)
    expect(heard).toContain('storageFailed EACCES')
    expect(heard).toContain('refreshed')
  })

  test('repeat the refresh of a killed process and get the same response', async () => {
    const [holder, ...others] = await Promise.all([start(2), start(2), start(2)])
    const held = gate()
    const heard = gate()
    server.fault('/oauth/token', { kind: 'hold', until: held.opened, heard: heard.open })
    holder.send('go')
    await heard.opened
    holder.kill('SIGKILL')
    const answers = await Promise.all(others.map(ask))
    held.open()
    expect(new Set(answers.map(({ token }) => token)).size).toBe(1)
    expect(server.events.map(({ type }) => type)).toEqual(['issued', 'rotated', 'retried'])
    expect(JSON.parse(readFileSync(path, 'utf8')).session).toMatchObject({ state: 'live', generation: 1 })
  })
})
