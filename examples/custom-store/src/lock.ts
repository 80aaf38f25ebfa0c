import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** The start time of this process by the monotonic clock. The same in all its threads. */
const STARTED_AT = Math.round(Number(process.hrtime.bigint() / 1_000_000n) - process.uptime() * 1000)
const SELF = `${process.pid}.${STARTED_AT}.${randomUUID()}`
const TIMEOUT_MS = 5000
const queues = new Map<string, Promise<unknown>>()

/** Runs `work` while no other work on this machine holds the same lock. The lock of a dead process is released. */
export async function withLock<Result>(lock: string, work: () => Promise<Result>): Promise<Result> {
  const result = (queues.get(lock) ?? Promise.resolve()).then(async () => {
    await acquire(lock)
    return work().finally(() => rename(join(lock, SELF), join(lock, 'free')))
  })
  const settled: Promise<unknown> = result.catch(() => undefined)
  queues.set(lock, settled)
  void settled.then(() => {
    if (queues.get(lock) === settled) queues.delete(lock)
  })
  return result
}

/** A lock is a directory with one file, named after its holder. Names are unique, so that only one rename of it succeeds. */
async function acquire(lock: string): Promise<void> {
  const end = performance.now() + TIMEOUT_MS
  for (;;) {
    const [holder] = await readdir(lock).catch(() => [])
    if (holder === undefined) await makeLock(lock)
    else if (isFree(holder) && (await succeeds(rename(join(lock, holder), join(lock, SELF))))) return
    else if (performance.now() > end)
      throw new Error(`${lock}: ${holder} (process, start) has held this lock for too long`)
    else await pause(1)
  }
}

/** Creates the lock atomically: a directory cannot be renamed to a non-empty one. */
async function makeLock(lock: string): Promise<void> {
  const temporary = `${lock}.${randomUUID()}`
  try {
    await mkdir(temporary, { recursive: true })
    await writeFile(join(temporary, 'free'), '', { flush: true })
    await succeeds(rename(temporary, lock))
  } finally {
    // Remains if another process was faster or the disk is full.
    await rm(temporary, { recursive: true, force: true })
  }
}

function isFree(holder: string): boolean {
  const [pid, startedAt] = holder.split('.').map(Number)
  if (holder === 'free' || pid === undefined || startedAt === undefined) return holder === 'free'
  // In containers the next process may have the same process id.
  if (pid === process.pid) return Math.abs(startedAt - STARTED_AT) > 50
  try {
    return !process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

/** Resolves to false if the source does not exist or the target does. */
function succeeds(renaming: Promise<void>): Promise<boolean> {
  return renaming.then(
    () => true,
    (error: unknown) => {
      if (['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
      throw error
    },
  )
}
