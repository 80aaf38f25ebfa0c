import { rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { OneTimeKey, FamilyRecord, TokenStore } from '@baton/core'
import {
  appendRevocation,
  applyRevocation,
  applyRotation,
  deletableAt,
  type LoggedRevocation,
  pageOf,
  pageOfLog,
} from '@baton/core/store'
import { createEmpty, hash, listFiles, read, write } from './files.js'
import { withLock } from './lock.js'

/** Keeps each family in a JSON file below `folder`, for any number of processes on one machine with Linux or macOS. */
export function fileStore(folder: string): TokenStore {
  const families = join(folder, 'families')
  const keys = join(folder, 'keys')
  const revocations = join(folder, 'revocations', 'log.json')
  const familyFile = (id: string) => join(families, `${hash(id)}.json`)
  const subjectDirectory = (subject: string) => join(folder, 'subjects', hash(subject))
  const listEntry = ({ id, grant }: FamilyRecord) => join(subjectDirectory(grant.subject), `${hash(id)}.json`)
  const withFileLock = <Result>(file: string, work: () => Promise<Result>) =>
    withLock(join(folder, 'locks', basename(file).slice(0, 2)), work)

  /** Changes a family: reads, decides and writes under a lock. */
  function update(id: string, change: (record: FamilyRecord) => FamilyRecord): Promise<FamilyRecord | null> {
    return withFileLock(familyFile(id), async () => {
      const record = await read<FamilyRecord>(familyFile(id))
      const after = record && change(record)
      if (after !== record) await write(familyFile(id), after)
      return after
    })
  }

  /** Appends to the list of revocations, which `listRevoked` reads. A repeated entry moves to the end. */
  function log(record: FamilyRecord): Promise<void> {
    return withFileLock(revocations, async () => {
      const logged = (await read<LoggedRevocation[]>(revocations)) ?? []
      appendRevocation(logged, record)
      const last = logged.at(-1)
      await write(revocations, [...logged.slice(0, -1).filter(({ id }) => id !== record.id), last])
    })
  }

  /**
   * Logs the revocation before the write, so that it is listed if the process ends in between, and after it, for readers that found
   * the family not yet revoked.
   */
  async function logged(
    revoked: FamilyRecord,
    store: () => Promise<FamilyRecord | null>,
  ): Promise<FamilyRecord | null> {
    if (revoked.revocation !== null) await log(revoked)
    const stored = await store()
    if (stored !== null && stored.revocation !== null) await log(stored)
    return stored
  }

  /** Deletes up to `limit` expired files. Checks each again under its lock. */
  async function deleteExpired<Content>(
    from: string,
    limit: number,
    isDeletable: (content: Content) => boolean,
    remove: (content: Content, file: string) => Promise<void>,
  ) {
    let count = 0
    for (const name of await listFiles(from)) {
      if (count === limit) break
      const file = join(from, name)
      const content = await read<Content>(file)
      if (content === null || !isDeletable(content)) continue
      await withFileLock(file, async () => {
        const current = await read<Content>(file)
        if (current === null || !isDeletable(current)) return
        await remove(current, file)
        count += 1
      })
    }
    return count
  }

  return {
    async create(record) {
      const create = () =>
        withFileLock(familyFile(record.id), async () => {
          const stored = await read<FamilyRecord>(familyFile(record.id))
          if (stored !== null) return stored
          // First the list entry: `list` ignores an entry without a family, but would miss a family without an entry.
          await createEmpty(listEntry(record))
          await write(familyFile(record.id), record)
          return structuredClone(record)
        })
      return (await logged(record, create)) ?? record
    },

    find: (id) => read(familyFile(id)),

    rotate: (command) => update(command.id, (record) => applyRotation(record, command)),

    async revoke(id, revocation) {
      const record = await read<FamilyRecord>(familyFile(id))
      if (record === null) return null
      return logged({ ...record, revocation }, () => update(id, (before) => applyRevocation(before, revocation)))
    },

    async list(query) {
      const names = await listFiles(subjectDirectory(query.subject))
      const records = await Promise.all(names.map((name) => read<FamilyRecord>(join(families, name))))
      return pageOf(
        records.filter((record) => record !== null),
        query,
      )
    },

    async listRevoked(query) {
      const page = pageOfLog((await read<LoggedRevocation[]>(revocations)) ?? [], query)
      const records = await Promise.all(page.items.map(({ id }) => read<FamilyRecord>(familyFile(id))))
      // A family that has been purged was revoked before. One that is not revoked was logged by a call that has not written it yet.
      return { ...page, items: page.items.filter((_, index) => records[index]?.revocation !== null) }
    },

    async purge(now, limit) {
      const isDeletable = (record: FamilyRecord) => deletableAt(record) <= now
      const deleted = await deleteExpired<FamilyRecord>(families, limit, isDeletable, async (record, file) => {
        await rm(listEntry(record), { force: true })
        await rm(file)
      })
      return (
        deleted +
        (await deleteExpired<OneTimeKey>(
          keys,
          limit - deleted,
          ({ expiresAt }) => expiresAt <= now,
          (_claim, file) => rm(file),
        ))
      )
    },

    claimOnce(claim, now) {
      const file = join(keys, `${hash(claim.key)}.json`)
      return withFileLock(file, async () => {
        const stored = await read<OneTimeKey>(file)
        if (stored !== null && stored.expiresAt > now) return stored.owner
        await write(file, claim)
        return claim.owner
      })
    },
  }
}
