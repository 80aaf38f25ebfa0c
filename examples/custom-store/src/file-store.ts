import { rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { OneTimeKey, FamilyRecord, TokenStore } from '@baton/core'
import { applyRevocation, applyRotation, deletableAt, pageOf } from '@baton/core/store'
import { createEmpty, hash, listFiles, read, write } from './files.js'
import { withLock } from './lock.js'

/** Keeps each family in a JSON file below `folder`, for any number of processes on one machine with Linux or macOS. */
export function fileStore(folder: string): TokenStore {
  const families = join(folder, 'families')
  const keys = join(folder, 'keys')
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
    create: (record) =>
      withFileLock(familyFile(record.id), async () => {
        const stored = await read<FamilyRecord>(familyFile(record.id))
        if (stored !== null) return stored
        // First the list entry: `list` ignores an entry without a family, but would miss a family without an entry.
        await createEmpty(listEntry(record))
        await write(familyFile(record.id), record)
        return structuredClone(record)
      }),

    find: (id) => read(familyFile(id)),

    rotate: (command) => update(command.id, (record) => applyRotation(record, command)),

    revoke: (id, revocation) => update(id, (record) => applyRevocation(record, revocation)),

    async list(query) {
      const names = await listFiles(subjectDirectory(query.subject))
      const records = await Promise.all(names.map((name) => read<FamilyRecord>(join(families, name))))
      return pageOf(
        records.filter((record) => record !== null),
        query,
      )
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
