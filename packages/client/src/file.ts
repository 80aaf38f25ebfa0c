import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { type FileHandle, open, readdir, readFile, rename, rm, utimes } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { checkOptions } from './platform/options.js'
import type { SessionStorage } from './platform/storage.js'

export interface SessionFileOptions {
  /** Seconds after which the lock of a process that no longer updates it is taken over. Default 10. */
  readonly staleSeconds?: number
}

/**
 * Stores the session in a file that only its owner can read, for all processes of one machine. The file is replaced atomically. Lock files
 * are created next to it; the lock of a killed process is taken over. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { createSession } from '@baton/client'
 * import { sessionFile } from '@baton/client/file'
 * import { oauthEndpoints } from '@baton/client/oauth'
 *
 * const session = createSession({
 *   endpoints: oauthEndpoints({ tokenEndpoint: 'https://login.example/oauth/token', clientId: 'cli' }),
 *   storage: sessionFile('session.json'),
 * })
 * ```
 */
export function sessionFile(path: string, options: SessionFileOptions = {}): SessionStorage {
  checkOptions({ path }, { path: 'string' }, {})
  checkOptions<SessionFileOptions>(
    options,
    {},
    { staleSeconds: ['a positive number', (value) => typeof value === 'number' && value > 0] },
  )
  const { staleSeconds = 10 } = options
  const file = resolve(path)
  const draftPrefix = `${file}.draft.`
  const staleMs = staleSeconds * 1000
  // Held for one write only, so that waiting and taking over fit into the time-out of storage calls.
  const lockForWrite = lockFiles(`${file}.write`, staleMs / 2)
  const lockForRefresh = lockFiles(`${file}.lock`, staleMs)

  async function read(): Promise<string | null> {
    return readFile(file, 'utf8').catch((error: unknown) => {
      if (getErrorCode(error) === 'ENOENT') return null
      throw error
    })
  }

  async function write(text: string, { isHeld }: HeldLock): Promise<void> {
    // A killed process leaves a draft that contains tokens.
    for (const number of await listSuffixes(draftPrefix)) await rm(draftPrefix + number, { force: true })
    const draft = draftPrefix + randomUUID()
    try {
      await create(draft, async (handle) => {
        await handle.writeFile(text)
        await handle.sync()
      })
      // A process that was paused for too long must not overwrite newer data.
      if (!(await isHeld())) throw new Error('the lock was taken over')
      await rename(draft, file)
      await syncFolder(dirname(file))
    } catch (error) {
      await rm(draft, { force: true })
      throw error
    }
  }

  return {
    lock: async (signal) => (await lockForRefresh(signal)).release,
    read,
    async swap(before, after) {
      // Sign-in and sign-out do not wait for a refresh, so compare-and-swap needs its own lock.
      const lock = await lockForWrite(AbortSignal.timeout(staleMs))
      try {
        if ((await read()) !== before) return false
        await write(after, lock)
        return true
      } finally {
        lock.release()
      }
    },
  }
}

const POLL_MS = 25

interface HeldLock {
  readonly release: () => void
  /** False once another process has taken over the lock. */
  readonly isHeld: () => Promise<boolean>
}

/**
 * A lock made of files `prefix.1`, `prefix.2`, …. The process that created the highest number holds the lock. Only one process can create a
 * file (O_EXCL), and it touches the file while it holds the lock. If a file does not change for too long, the process that creates the next
 * number takes over the lock.
 */
function lockFiles(prefix: string, staleMs: number): (signal: AbortSignal) => Promise<HeldLock> {
  const toPath = (number: number) => `${prefix}.${String(number)}`

  async function listNumbers(): Promise<number[]> {
    return (await listSuffixes(`${prefix}.`)).map(Number).filter(Number.isInteger)
  }

  const highest = async () => Math.max(0, ...(await listNumbers()))

  /** Returns text that changes while the holder is alive; null if the file is gone. */
  async function trace(number: number): Promise<string | null> {
    try {
      return await withFile(toPath(number), 'r', async (handle) => {
        const [{ mtimeMs }, maker] = [await handle.stat(), await handle.readFile('utf8')]
        return `${maker} ${String(mtimeMs)}`
      })
    } catch (error) {
      if (getErrorCode(error) === 'ENOENT') return null
      throw error
    }
  }

  /** Returns true if `mine`, created after `number`, holds the lock. */
  async function ownsLock(mine: number, number: number, last: string | null): Promise<boolean> {
    // The lock may have been released since, or another process may have started again at one.
    return (await highest()) === mine && (number === 0 || (await trace(number)) === last)
  }

  /** Creates the file after `number`. */
  async function takeAfter(number: number, last: string | null): Promise<HeldLock | null> {
    const mine = number + 1
    try {
      await create(toPath(mine), (handle) => handle.writeFile(randomUUID()))
    } catch (error) {
      if (getErrorCode(error) === 'EEXIST') return null
      throw error
    }
    const release = hold(toPath(mine), staleMs)
    try {
      if (await ownsLock(mine, number, last)) {
        // Removes the files of dead processes, so that no process waits for them again.
        for (const left of await listNumbers()) if (left < mine) await rm(toPath(left), { force: true })
        return { release, isHeld: async () => (await highest()) === mine }
      }
    } catch (error) {
      release()
      throw error
    }
    release()
    return null
  }

  return async (signal) => {
    let number = 0
    let last: string | null = null
    let stillMs = 0
    for (;;) {
      signal.throwIfAborted()
      const now = await highest()
      const seen = now === 0 ? null : await trace(now)
      if (now !== number || seen !== last) [number, last, stillMs] = [now, seen, 0]
      if (number === 0 || stillMs >= staleMs) {
        const lock = await takeAfter(number, last)
        if (lock !== null) return lock
      }
      await wait(POLL_MS, undefined, { signal })
      // Counts polls instead of time: after sleep the holder has had no chance to touch its file.
      stillMs += POLL_MS
    }
  }
}

/** The locks of this process, which are released when it exits. */
const held = new Set<() => void>()
process.on('exit', () => {
  for (const release of held) release()
})

/** Touches the lock file until the lock is released. */
function hold(file: string, staleMs: number): () => void {
  const beat = setInterval(() => {
    const now = new Date()
    utimes(file, now, now).catch(() => undefined)
  }, staleMs / 10).unref()
  const release = () => {
    clearInterval(beat)
    held.delete(release)
    try {
      // Synchronous, because the process may exit right after this.
      rmSync(file, { force: true })
    } catch {
      // The lock will be taken over.
    }
  }
  held.add(release)
  return release
}

async function withFile<T>(path: string, flags: 'r' | 'wx', work: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await open(path, flags, 0o600)
  try {
    return await work(handle)
  } finally {
    await handle.close()
  }
}

/** Creates a file, and removes it if writing fails. Rejects with `EEXIST` if the file exists. */
function create(path: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  return withFile(path, 'wx', async (handle) => {
    try {
      await write(handle)
    } catch (error) {
      await rm(path, { force: true })
      throw error
    }
  })
}

/** Returns the rest of each file name that starts with this path. */
async function listSuffixes(path: string): Promise<string[]> {
  const start = basename(path)
  const names = await readdir(dirname(path))
  return names.filter((name) => name.startsWith(start)).map((name) => name.slice(start.length))
}

/** A rename is durable once its directory is synced. */
async function syncFolder(folder: string): Promise<void> {
  await withFile(folder, 'r', (handle) => handle.sync()).catch(() => {
    // Windows cannot open directories.
  })
}

function getErrorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
