import { randomUUID } from 'node:crypto'
import { open, readdir, readFile, rename, rm, utimes } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { setTimeout as elapse } from 'node:timers/promises'
import type { Lock, SessionStorage } from '@baton/client'

export interface SessionFileOptions {
  /** A lock whose holder has not moved for so long is taken over, in seconds. Default 10. */
  readonly staleSeconds?: number
}

/**
 * Keeps the session in a file that only its owner may read, for all processes of one machine. It is replaced as a whole, so that
 * nobody ever reads half of it. Lock files stand beside it; one whose process was killed is taken over.
 */
export function sessionFile(path: string, { staleSeconds = 10 }: SessionFileOptions = {}): SessionStorage {
  const file = resolve(path)
  const lockNamed = (name: string) => lockFiles(`${file}.${name}`, staleSeconds * 1000)
  const writing = lockNamed('write')

  async function read(): Promise<string | null> {
    return readFile(file, 'utf8').catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return null
      throw error
    })
  }

  async function write(text: string): Promise<void> {
    const draft = `${file}.${randomUUID()}`
    try {
      const handle = await open(draft, 'wx', 0o600)
      await handle.writeFile(text)
      await handle.sync()
      await handle.close()
      await rename(draft, file)
      await syncFolder(dirname(file))
    } catch (error) {
      await rm(draft, { force: true })
      throw error
    }
  }

  return {
    lock: lockNamed('lock'),
    read,
    async swap(before, after) {
      // A sign-in or a sign-out does not wait for a refresh, so comparing and writing needs a lock of its own.
      const release = await writing(AbortSignal.timeout(2 * staleSeconds * 1000))
      try {
        if ((await read()) !== before) return false
        await write(after)
        return true
      } finally {
        release()
      }
    },
  }
}

const POLL_MS = 25

/**
 * A lock by files `prefix.1`, `prefix.2`, …: whoever made the highest one has it. A file is made by one process only (O_EXCL), and
 * its maker touches it while it lives; once it has stood still for too long, whoever makes the next number has taken it over.
 */
function lockFiles(prefix: string, staleMs: number): Lock {
  const fileOf = (number: number) => `${prefix}.${String(number)}`

  async function highest(): Promise<number> {
    const start = `${basename(prefix)}.`
    const names = await readdir(dirname(prefix))
    const numbers = names.filter((name) => name.startsWith(start)).map((name) => Number(name.slice(start.length)))
    return Math.max(0, ...numbers.filter(Number.isInteger))
  }

  /** Makes the file of this number, unless somebody has. */
  async function make(number: number, maker: string): Promise<boolean> {
    try {
      const handle = await open(fileOf(number), 'wx', 0o600)
      await handle.writeFile(maker)
      await handle.close()
      return true
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false
      throw error
    }
  }

  /** What a living holder changes; null where there is none any more. */
  async function trace(number: number): Promise<string | null> {
    try {
      const handle = await open(fileOf(number), 'r')
      const [{ mtimeMs }, maker] = [await handle.stat(), await handle.readFile('utf8')]
      await handle.close()
      return `${maker} ${String(mtimeMs)}`
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null
      throw error
    }
  }

  /** Makes the file after `number`, and makes sure that it was the one to be made. */
  async function takeAfter(number: number, last: string | null): Promise<(() => void) | null> {
    const mine = number + 1
    if (!(await make(mine, randomUUID()))) return null
    // Meanwhile it may have been given back, or somebody may have begun again from one.
    const isRight = (await highest()) === mine && (number === 0 || (await trace(number)) === last)
    if (!isRight) {
      await rm(fileOf(mine), { force: true })
      return null
    }
    if (number > 0) await rm(fileOf(number), { force: true })
    return hold(fileOf(mine), staleMs)
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
        const release = await takeAfter(number, last)
        if (release !== null) return release
      }
      await elapse(POLL_MS, undefined, { signal })
      // Counted by turns: whoever slept together with the holder has not seen it stand still.
      stillMs += POLL_MS
    }
  }
}

/** Shows that its holder lives, until it is given back. */
function hold(file: string, staleMs: number): () => void {
  const beat = setInterval(() => {
    const now = new Date()
    utimes(file, now, now).catch(() => undefined)
  }, staleMs / 10).unref()
  return () => {
    clearInterval(beat)
    void rm(file, { force: true }).catch(() => undefined)
  }
}

/** A rename is durable once its folder is. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r')
    await handle.sync()
    await handle.close()
  } catch {
    // Windows opens no folders.
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
