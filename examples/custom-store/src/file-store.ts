import { rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { OneTimeKey, FamilyRecord, TokenStore } from '@baton/core'
import { applyRevocation, applyRotation, deletableAt, pageOf } from '@baton/core/store'
import { enter, nameOf, namesIn, read, write } from './files.js'
import { withLock } from './lock.js'

/** Keeps each family in a JSON file below `folder`, for any number of processes on one machine with Linux or macOS. */
export function fileStore(folder: string): TokenStore {
  const families = join(folder, 'families')
  const keys = join(folder, 'keys')
  const fileOf = (id: string) => join(families, `${nameOf(id)}.json`)
  const subjectOf = (subject: string) => join(folder, 'subjects', nameOf(subject))
  const entryOf = ({ id, grant }: FamilyRecord) => join(subjectOf(grant.subject), `${nameOf(id)}.json`)
  const locked = <Result>(file: string, work: () => Promise<Result>) =>
    withLock(join(folder, 'locks', basename(file).slice(0, 2)), work)

  /** The one way in which a family changes: read, decide and write while nobody else does. */
  function update(id: string, change: (record: FamilyRecord) => FamilyRecord): Promise<FamilyRecord | null> {
    return locked(fileOf(id), async () => {
      const record = await read<FamilyRecord>(fileOf(id))
      const after = record && change(record)
      if (after !== record) await write(fileOf(id), after)
      return after
    })
  }

  /** Deletes up to `limit` of the files that are over, looking again at each while nobody else can change it. */
  async function sweep<Content>(
    from: string,
    limit: number,
    isOver: (content: Content) => boolean,
    remove: (content: Content, file: string) => Promise<void>,
  ) {
    let count = 0
    for (const name of await namesIn(from)) {
      if (count === limit) break
      const file = join(from, name)
      const content = await read<Content>(file)
      if (content === null || !isOver(content)) continue
      await locked(file, async () => {
        const current = await read<Content>(file)
        if (current === null || !isOver(current)) return
        await remove(current, file)
        count += 1
      })
    }
    return count
  }

  return {
    create: (record) =>
      locked(fileOf(record.id), async () => {
        const standing = await read<FamilyRecord>(fileOf(record.id))
        if (standing !== null) return standing
        // First the entry in the list: one without a family is passed over, a family without one would be lost.
        await enter(entryOf(record))
        await write(fileOf(record.id), record)
        return structuredClone(record)
      }),

    find: (id) => read(fileOf(id)),

    rotate: (command) => update(command.id, (record) => applyRotation(record, command)),

    revoke: (id, revocation) => update(id, (record) => applyRevocation(record, revocation)),

    async list(query) {
      const names = await namesIn(subjectOf(query.subject))
      const records = await Promise.all(names.map((name) => read<FamilyRecord>(join(families, name))))
      return pageOf(
        records.filter((record) => record !== null),
        query,
      )
    },

    async purge(now, limit) {
      const isOver = (record: FamilyRecord) => deletableAt(record) <= now
      const gone = await sweep<FamilyRecord>(families, limit, isOver, async (record, file) => {
        await rm(entryOf(record), { force: true })
        await rm(file)
      })
      return (
        gone +
        (await sweep<OneTimeKey>(
          keys,
          limit - gone,
          ({ expiresAt }) => expiresAt <= now,
          (_claim, file) => rm(file),
        ))
      )
    },

    claimOnce(claim, now) {
      const file = join(keys, `${nameOf(claim.key)}.json`)
      return locked(file, async () => {
        const standing = await read<OneTimeKey>(file)
        if (standing !== null && standing.expiresAt > now) return standing.owner
        await write(file, claim)
        return claim.owner
      })
    },
  }
}
