import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { type FileHandle, open, readdir, readFile, rename, rm, utimes } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { checkOptions } from './platform/options.js'
import type { SessionStorage } from './platform/storage.js'

export interface SessionFileOptions {
  /** A lock whose holder has not moved for so long is taken over, in seconds. Default 10. */
  readonly staleSeconds?: number
}

/**
 * Keeps the session in a file that only its owner may read, for all processes of one machine. The file is replaced as a whole, so that
 * it is never read half-written. Lock files stand beside it; that of a process which was killed is taken over.
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
  // Held for one write only, so that waiting for it and taking it over fit into the time that a session waits for its storage.
  const lockForWrite = lockFiles(`${file}.write`, staleMs / 2)
  const lockForRefresh = lockFiles(`${file}.lock`, staleMs)

  async function read(): Promise<string | null> {
    return readFile(file, 'utf8').catch((error: unknown) => {
      if (getErrorCode(error) === 'ENOENT') return null
      throw error
    })
  }

  async function write(text: string, { isHeld }: HeldLock): Promise<void> {
    // A process that was killed leaves a draft with its tokens.
    for (const number of await listSuffixes(draftPrefix)) await rm(draftPrefix + number, { force: true })
    const draft = draftPrefix + randomUUID()
    try {
      await create(draft, async (handle) => {
        await handle.writeFile(text)
        await handle.sync()
      })
      // A process that stood still for too long must not overwrite what another one has written since.
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
      // A sign-in or a sign-out does not wait for a refresh, so comparing and writing needs a lock of its own.
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
  /** False once another process has taken the lock over. */
  readonly isHeld: () => Promise<boolean>
}

/**
 * A lock by files `prefix.1`, `prefix.2`, …: the process that created the highest one holds it. A file is created by one process only
 * (O_EXCL), which touches it while it lives. Once it has not changed for too long, the process that creates the next number has taken
 * the lock over.
 */
function lockFiles(prefix: string, staleMs: number): (signal: AbortSignal) => Promise<HeldLock> {
  const toPath = (number: number) => `${prefix}.${String(number)}`

  async function listNumbers(): Promise<number[]> {
    return (await listSuffixes(`${prefix}.`)).map(Number).filter(Number.isInteger)
  }

  const highest = async () => Math.max(0, ...(await listNumbers()))

  /** What a living holder changes; null if the file is gone. */
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

  /** Whether `mine`, just created after `number`, is the one that holds the lock. */
  async function ownsLock(mine: number, number: number, last: string | null): Promise<boolean> {
    // Meanwhile the lock may have been given back, or another process may have begun again from one.
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
        // All that dead processes left behind, so that none of it has to be waited for again.
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
      // Counted by turns: whoever slept together with the holder has not seen it stand still.
      stillMs += POLL_MS
    }
  }
}

/** The locks of this process, which are given back when it exits. */
const held = new Set<() => void>()
process.on('exit', () => {
  for (const release of held) release()
})

/** Shows that its holder lives, until the lock is given back. */
function hold(file: string, staleMs: number): () => void {
  const beat = setInterval(() => {
    const now = new Date()
    utimes(file, now, now).catch(() => undefined)
  }, staleMs / 10).unref()
  const release = () => {
    clearInterval(beat)
    held.delete(release)
    try {
      // At once: a process may exit right after this, and its file would cost the next one the time of a dead holder.
      rmSync(file, { force: true })
    } catch {
      // It will be taken over.
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

/** Creates a file of this process, and removes it again if it cannot be written. Rejects with `EEXIST` if there is one. */
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

/** How the names of the files go on that begin with this path. */
async function listSuffixes(path: string): Promise<string[]> {
  const start = basename(path)
  const names = await readdir(dirname(path))
  return names.filter((name) => name.startsWith(start)).map((name) => name.slice(start.length))
}

/** A rename is durable once its folder is. */
async function syncFolder(folder: string): Promise<void> {
  await withFile(folder, 'r', (handle) => handle.sync()).catch(() => {
    // Windows opens no folders.
  })
}

function getErrorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
