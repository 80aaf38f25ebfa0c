import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** When this process began, by a clock that nobody sets: the same in all its threads. */
const BEGAN = Math.round(Number(process.hrtime.bigint() / 1_000_000n) - process.uptime() * 1000)
const SELF = `${process.pid}.${BEGAN}.${randomUUID()}`
const PATIENCE_MS = 5000
const lines = new Map<string, Promise<unknown>>()

/** Runs `work` while no other work on this machine holds the same lock. Whoever dies leaves the lock to the next. */
export async function withLock<Result>(lock: string, work: () => Promise<Result>): Promise<Result> {
  const turn = (lines.get(lock) ?? Promise.resolve()).then(async () => {
    await acquire(lock)
    return work().finally(() => rename(join(lock, SELF), join(lock, 'free')))
  })
  const over: Promise<unknown> = turn.catch(() => undefined)
  lines.set(lock, over)
  void over.then(() => {
    if (lines.get(lock) === over) lines.delete(lock)
  })
  return turn
}

/** A lock is a folder with one file, named after its holder. No holder's name comes twice, so that one renaming of it succeeds. */
async function acquire(lock: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS
  for (;;) {
    const [holder] = await readdir(lock).catch(() => [])
    if (holder === undefined) await makeLock(lock)
    else if (isFree(holder) && (await succeeds(rename(join(lock, holder), join(lock, SELF))))) return
    else if (performance.now() > end)
      throw new Error(`${lock}: ${holder} (process, start) holds this lock for too long`)
    else await pause(1)
  }
}

/** Whole or not at all: no folder can be moved to where one is that is not empty. */
async function makeLock(lock: string): Promise<void> {
  const fresh = `${lock}.${randomUUID()}`
  try {
    await mkdir(fresh, { recursive: true })
    await writeFile(join(fresh, 'free'), '', { flush: true })
    await succeeds(rename(fresh, lock))
  } finally {
    // Still there if another process was faster, or if the disk is full.
    await rm(fresh, { recursive: true, force: true })
  }
}

function isFree(holder: string): boolean {
  const [pid, began] = holder.split('.').map(Number)
  if (holder === 'free' || pid === undefined || began === undefined) return holder === 'free'
  // In containers the next process may have the number of the last.
  if (pid === process.pid) return Math.abs(began - BEGAN) > 50
  try {
    return !process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

/** False where the file is gone, or something is in its place already. */
function succeeds(renaming: Promise<void>): Promise<boolean> {
  return renaming.then(
    () => true,
    (error: unknown) => {
      if (['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
      throw error
    },
  )
}
