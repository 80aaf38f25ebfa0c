import { setImmediate as aMoment } from 'node:timers/promises'
import { ConfigurationError, type FamilyRecord, type TokenStore } from '@baton/core'
import { pageOfLog } from '@baton/core/store'
import { type FamilyChanges, familyOf, rotated, withChanges } from '../src/records.js'
import { emptyShelf, expiryOf, isAlive, livingOf, put, type Shelf, soundStore } from './sound-store.js'

export interface BrokenStore {
  /** What is wrong with it. */
  readonly fault: string
  /** The case that has to find out, whatever others find out as well. */
  readonly caughtBy: string
  /** One connection; a second call on the same shelf is another. */
  readonly connect: (shelf: Shelf) => TokenStore
}

type Change = (sound: TokenStore, shelf: Shelf) => Partial<TokenStore>

function broken(fault: string, caughtBy: string, change: Change): BrokenStore {
  return {
    fault,
    caughtBy,
    connect(shelf) {
      const sound = soundStore(shelf)
      return { ...sound, ...change(sound, shelf) }
    },
  }
}

const rotating: BrokenStore[] = [
  broken(
    'rotates without comparing the verifier',
    'rotate: another verifier changes nothing and gets the record',
    (sound, { families }) => ({
      rotate: (command) =>
        sound.rotate({ ...command, expect: families.get(command.id)?.current.verifier ?? command.expect }),
    }),
  ),
  broken(
    'compares, waits, and swaps',
    'races: of 50 rotations of one token one applies, and all see it',
    (_sound, { families }) => ({
      async rotate({ id, expect, next, now }) {
        const record = families.get(id)
        if (record?.current.verifier !== expect || !isAlive(record, now)) return record ?? null
        await aMoment()
        const after = rotated(record, { id, expect, next, now })
        families.set(id, after)
        return after
      },
    }),
  ),
  broken(
    'writes the verifier first and the rest later',
    'torn writes: a reader during rotations gets complete records, and never an older one after a newer one',
    (_sound, { families }) => ({
      async rotate({ id, expect, next, now }) {
        const record = families.get(id)
        if (record?.current.verifier !== expect || !isAlive(record, now)) return record ?? null
        if (next !== null) {
          families.set(id, withChanges(record, { verifier: next.verifier }))
          await aMoment()
          families.set(id, { ...(families.get(id) ?? record), current: next })
        }
        families.set(id, { ...(families.get(id) ?? record), expiresAt: expiryOf(record, now) })
        return families.get(id) ?? null
      },
    }),
  ),
  broken(
    'returns the snapshot from before the write',
    'rotate: applies the succession and moves the idle end',
    (sound) => ({
      async rotate(command) {
        const before = await sound.find(command.id)
        await sound.rotate(command)
        return before
      },
    }),
  ),
  broken(
    'returns the record from before the race to the loser',
    'races: of 50 rotations of one token one applies, and all see it',
    (sound) => ({
      async rotate(command) {
        const before = await sound.find(command.id)
        await aMoment()
        const after = await sound.rotate(command)
        return command.next === null || after?.current.verifier === command.next.verifier ? after : before
      },
    }),
  ),
  broken(
    'returns null when the swap did not apply',
    'rotate, committed and executed again: returns its own write',
    (sound) => ({
      async rotate(command) {
        const before = await sound.find(command.id)
        return before?.current.verifier === command.expect ? sound.rotate(command) : null
      },
    }),
  ),
  broken(
    'treats families as expired a second early',
    'rotate: changes nothing from the millisecond of the expiry on',
    (sound) => ({
      rotate: async (command) => {
        const record = await sound.find(command.id)
        return record !== null && record.expiresAt - 1000 <= command.now ? record : sound.rotate(command)
      },
    }),
  ),
  broken(
    'rotates a family in the millisecond of its expiry',
    'rotate: changes nothing from the millisecond of the expiry on',
    (sound) => ({
      async rotate(command) {
        const record = await sound.find(command.id)
        if (record?.expiresAt !== command.now) return sound.rotate(command)
        const { expiresAt } = { expiresAt: expiryOf(record, command.now) }
        const after = await sound.rotate({ ...command, now: command.now - 1 })
        return after === null ? null : { ...after, expiresAt }
      },
    }),
  ),
  broken(
    'moves the idle end beyond the absolute one',
    'rotate: the idle end never passes the absolute end',
    (sound, { families }) => ({
      async rotate(command) {
        const before = families.get(command.id)
        const after = await sound.rotate(command)
        if (after === null || before?.current.verifier !== command.expect || !isAlive(before, command.now)) return after
        const longer = { ...after, expiresAt: command.now + (after.lifetime.idleMs ?? 0) }
        families.set(command.id, longer)
        return longer
      },
    }),
  ),
  broken(
    'writes back the whole record that a renewal has read',
    'races: a renewal never undoes a rotation',
    (sound, { families }) => ({
      async rotate(command) {
        if (command.next !== null) return sound.rotate(command)
        const record = families.get(command.id)
        if (record?.current.verifier !== command.expect || !isAlive(record, command.now)) return record ?? null
        await aMoment()
        const renewed = { ...record, expiresAt: expiryOf(record, command.now) }
        families.set(command.id, renewed)
        return renewed
      },
    }),
  ),
  broken('reads its own clock', 'clock: only the given `now` counts, in the year 1990', (sound) => ({
    rotate: (command) => sound.rotate({ ...command, now: Date.now() }),
  })),
  broken('lists by its own clock', 'clock: only the given `now` counts, in the year 2190', (sound) => ({
    list: (query) => sound.list({ ...query, now: Date.now() }),
  })),
]

const revoking: BrokenStore[] = [
  broken('forgets to store a revocation', 'revoke: sets the revocation and nothing else', (sound) => ({
    async revoke(id, revocation) {
      const record = await sound.find(id)
      return record === null ? null : { ...record, revocation: record.revocation ?? revocation }
    },
  })),
  broken('lets the last revocation stand', 'revoke: the first one stands', (_sound, { families }) => ({
    async revoke(id, revocation) {
      const record = families.get(id)
      if (record === undefined) return null
      families.set(id, { ...record, revocation })
      return { ...record, revocation }
    },
  })),
  broken(
    'lets a rotation under way undo a revocation',
    'races: a revocation amid rotations is final, and no rotation comes after it',
    (_sound, { families }) => ({
      async rotate({ id, expect, next, now }) {
        const record = families.get(id)
        await aMoment()
        if (record?.current.verifier !== expect || !isAlive(record, now)) return families.get(id) ?? null
        const after = rotated(record, { id, expect, next, now })
        families.set(id, after)
        return after
      },
    }),
  ),
  broken('revokes all families of the subject', 'revoke: touches no other family', (sound, { families, index }) => ({
    async revoke(id, revocation) {
      const subject = families.get(id)?.grant.subject ?? ''
      for (const other of index.get(subject) ?? []) await sound.revoke(other as FamilyRecord['id'], revocation)
      return sound.find(id)
    },
  })),
]

const creating: BrokenStore[] = [
  broken(
    'overwrites a family that exists',
    'create: returns the stored record of an id that exists and leaves it unchanged',
    (sound, shelf) => ({
      async create(record) {
        put(shelf, record)
        return record
      },
    }),
  ),
  broken(
    'throws on a repeated creation',
    'create, committed and executed again: returns the record',
    (sound, { families }) => ({
      async create(record, now) {
        if (families.has(record.id)) throw new Error('duplicate key')
        return sound.create(record, now)
      },
    }),
  ),
  broken(
    'checks an id, waits, and inserts',
    'races: of 50 creations of one id one stays, and all see it',
    (sound, shelf) => ({
      async create(record, now) {
        if (shelf.families.has(record.id)) return sound.create(record, now)
        await aMoment()
        put(shelf, record)
        return record
      },
    }),
  ),
  broken('deletes the oldest family when full', 'create: never deletes other families', (sound, { families }) => ({
    async create(record, now) {
      const [oldest] = families.keys()
      if (families.size >= 100 && oldest !== undefined) families.delete(oldest)
      return sound.create(record, now)
    },
  })),
  broken(
    'writes the index after it has returned',
    'connections: a new family is found and listed through the other at once',
    (sound, shelf) => ({
      async create(record, now) {
        if (shelf.families.has(record.id)) return sound.create(record, now)
        shelf.families.set(record.id, structuredClone(record))
        void aMoment().then(() => put(shelf, shelf.families.get(record.id) ?? record))
        return record
      },
    }),
  ),
  broken(
    'has a column for each member that it knows',
    'records: members of current and grant that a store does not use come back too',
    (sound) => ({
      create: (record, now) => sound.create(withChanges(familyOf('any'), membersOf(record)), now),
    }),
  ),
  broken('rounds instants to seconds', 'records: instants stay exact far into the future', (sound) => ({
    async find(id) {
      const record = await sound.find(id)
      return record && { ...record, expiresAt: Math.floor(record.expiresAt / 1000) * 1000 }
    },
    async rotate(command) {
      const record = await sound.rotate(command)
      return record && { ...record, expiresAt: Math.floor(record.expiresAt / 1000) * 1000 }
    },
  })),
  broken(
    'keeps the very objects that it is given',
    'records: changing an object that was passed in or returned changes nothing stored',
    (sound, { families, index }) => ({
      async create(record, now) {
        if (families.has(record.id)) return sound.create(record, now)
        families.set(record.id, record)
        const { subject } = record.grant
        index.set(subject, (index.get(subject) ?? new Set()).add(record.id))
        return record
      },
    }),
  ),
]

const reading: BrokenStore[] = [
  broken(
    'reads from a cache per connection',
    'connections: every write through one is read through the other at once',
    (sound) => {
      const cache = new Map<string, FamilyRecord>()
      const cached = <Found extends FamilyRecord | null>(record: Found): Found => {
        if (record !== null) cache.set(record.id, record)
        return structuredClone(record)
      }
      return {
        create: async (record, now) => cached(await sound.create(record, now)),
        find: async (id) => structuredClone(cache.get(id) ?? cached(await sound.find(id))),
        rotate: async (command) => cached(await sound.rotate(command)),
        revoke: async (id, revocation) => cached(await sound.revoke(id, revocation)),
      }
    },
  ),
  broken(
    'reads from a replica that is one write behind',
    'connections: every write through one is read through the other at once',
    (sound, { families }) => {
      const replica = replicaOf(families)
      return { find: async (id) => structuredClone(replica.get(id) ?? families.get(id) ?? null) }
    },
  ),
  broken(
    'lists the families of subjects that look alike',
    'list: subjects that look alike stay apart',
    (sound, shelf) => ({
      async list(query) {
        const alike = [...shelf.index.keys()].filter((subject) => subject.toLowerCase() === query.subject.toLowerCase())
        const items = alike.flatMap((subject) => livingOf(shelf, subject, query.now)).slice(0, query.limit)
        return alike.length <= 1 ? sound.list(query) : { items, cursor: null }
      },
    }),
  ),
  broken(
    'forgets every tenth family in lists',
    'list: pages of every size show each family once, in one order',
    (sound) => ({
      async list(query) {
        const page = await sound.list(query)
        return { ...page, items: page.items.filter((_, index) => index !== 5) }
      },
    }),
  ),
  broken(
    'pages by offset',
    'list: a family that lives throughout the paging appears once, whatever happens to others',
    (_sound, shelf) => ({
      async list({ subject, cursor, limit, now }) {
        const all = livingOf(shelf, subject, now)
        const from = Number(cursor ?? 0)
        return { items: all.slice(from, from + limit), cursor: from + limit < all.length ? String(from + limit) : null }
      },
    }),
  ),
  broken(
    'loses families of the same instant between pages',
    'list: families of the same instant keep one order and none is lost',
    (_sound, shelf) => ({
      async list({ subject, cursor, limit, now }) {
        const rest = livingOf(shelf, subject, now).filter(({ grant }) => grant.createdAt < Number(cursor ?? Infinity))
        const items = rest.slice(0, limit)
        return { items, cursor: rest.length > items.length ? String(items.at(-1)?.grant.createdAt) : null }
      },
    }),
  ),
  broken(
    'begins again at a cursor that it cannot read',
    'list: a cursor that the store did not make rejects with a ConfigurationError',
    (sound) => ({
      list: ({ cursor, ...query }) => sound.list(cursor?.startsWith('{') === true ? { ...query, cursor } : query),
    }),
  ),
  broken(
    'fails at a cursor that names no number',
    'list: a cursor that was changed on its way is a position, or rejects with a ConfigurationError',
    (sound) => ({
      async list({ cursor, ...query }) {
        if (cursor !== undefined && /[^\x20-\x7e]/.test(cursor)) throw new Error('invalid byte sequence')
        return sound.list(cursor === undefined ? query : { ...query, cursor })
      },
    }),
  ),
  broken(
    'lists the dead',
    'list: leaves out the revoked and the expired, at their very end already',
    (sound, shelf) => ({
      async list(query) {
        const all = [...(shelf.index.get(query.subject) ?? [])].flatMap((id) => shelf.families.get(id) ?? [])
        return all.length > query.limit ? sound.list(query) : { items: all, cursor: null }
      },
    }),
  ),
]

const forgetting: BrokenStore[] = [
  broken('purges before keepUntil', 'purge: leaves the dead alone until keepUntil', (sound, { families }) => ({
    async purge(now, limit) {
      for (const [id, record] of families) families.set(id, withChanges(record, { keepUntil: 0 }))
      return sound.purge(now, limit)
    },
  })),
  broken('purges the living', 'purge: leaves the living alone', (sound, { families }) => ({
    async purge(now, limit) {
      for (const [id, record] of families) if (record.expiresAt <= now + 1) families.delete(id)
      return sound.purge(now, limit)
    },
  })),
  broken(
    'purges more than it may',
    'purge: deletes no more than the limit, and fewer only when nothing is left',
    (sound) => ({
      purge: (now) => sound.purge(now, 1_000_000),
    }),
  ),
  broken('purges the revoked only', 'purge: deletes an expired family at its very end', (sound, { families }) => ({
    async purge(now, limit) {
      const expired = [...families.values()].filter(({ revocation }) => revocation === null)
      for (const { id } of expired) families.delete(id)
      const count = await sound.purge(now, limit)
      for (const record of expired) families.set(record.id, record)
      return count
    },
  })),
  broken(
    'checks a key, waits, and writes it',
    'races: exactly one of 50 claims of a key wins, and all of them return its owner',
    (_sound, { claims }) => ({
      async claimOnce(claim, now) {
        const standing = claims.get(claim.key)
        if (standing !== undefined && standing.expiresAt > now) return standing.owner
        await aMoment()
        claims.set(claim.key, claim)
        return claim.owner
      },
    }),
  ),
  broken(
    'never deletes a key',
    'claimOnce: deletes a key when it expires, after which it can be claimed again',
    (sound) => ({
      claimOnce: (claim, now) => sound.claimOnce({ ...claim, expiresAt: Infinity }, now),
    }),
  ),
  broken(
    'remembers keys in one space with families',
    'claimOnce: keeps keys apart from families with the same id',
    (sound, { families }) => ({
      claimOnce: async (claim, now) => (families.has(claim.key) ? 'a family' : sound.claimOnce(claim, now)),
    }),
  ),
  broken(
    'returns the owner of the new claim',
    'claimOnce: returns the owner of the first claim to every later claim of the same key',
    (sound) => ({
      async claimOnce(claim, now) {
        await sound.claimOnce(claim, now)
        return claim.owner
      },
    }),
  ),
  broken(
    'returns the owner of the last claim',
    'claimOnce: returns the owner of the first claim to every later claim of the same key',
    (_sound, { claims }) => ({
      async claimOnce(claim) {
        claims.set(claim.key, claim)
        return claim.owner
      },
    }),
  ),
  broken(
    'rejects a repeated claim as if another caller had made it',
    'every write executed twice, claimOnce: returns the owner of the first claim to every later claim of the same key',
    (sound, { claims }) => ({
      async claimOnce(claim, now) {
        const isFirst = !claims.has(claim.key)
        const owner = await sound.claimOnce(claim, now)
        return isFirst || owner !== claim.owner ? owner : 'somebody'
      },
    }),
  ),
]

const counting: BrokenStore[] = [
  broken(
    'rejects all that wait together because of one',
    'numbers: one bad command in a batch does not fail its neighbours: a number that is a fraction',
    (sound) => {
      let batch: number[] = []
      return {
        async claimOnce(claim, now) {
          batch.push(claim.expiresAt)
          await aMoment()
          const mine = batch
          await aMoment()
          batch = []
          if (!mine.every(Number.isInteger)) throw new Error('the batch was rolled back')
          return sound.claimOnce(claim, now)
        },
      }
    },
  ),
  broken(
    'writes fractions and cannot read them',
    'numbers: one bad command in a batch does not fail its neighbours: a number that is a fraction',
    (sound) => ({
      async find(id) {
        const record = await sound.find(id)
        if (record !== null && !Number.isInteger(record.current.rotatedAt)) throw new Error('not a record')
        return record
      },
    }),
  ),
  broken(
    'has a column for integers of 32 bits',
    'numbers: calls from core succeed, whatever its clock and its callers count in',
    (sound) => ({
      claimOnce: async (claim, now) =>
        claim.expiresAt > Date.UTC(2106, 0, 1)
          ? Promise.reject(new Error('out of range'))
          : sound.claimOnce(claim, now),
    }),
  ),
]

const truncating: BrokenStore[] = [
  broken(
    'has a column for subjects of 255 characters',
    'texts: subjects of the greatest length that differ in their last byte stay apart',
    (sound) => ({
      create: (record, now) => sound.create(withChanges(record, { subject: record.grant.subject.slice(0, 255) }), now),
      list: (query) => sound.list({ ...query, subject: query.subject.slice(0, 255) }),
    }),
  ),
  broken(
    'has a column for scopes of 4000 bytes',
    'texts: the longest ones come back whole, in characters of 1 bytes',
    (sound) => ({
      create: (record, now) => sound.create(withChanges(record, { scope: record.grant.scope.slice(0, 4000) }), now),
    }),
  ),
  broken(
    'cuts a text in the middle of a character',
    'texts: the longest ones come back whole, in characters of 4 bytes',
    (sound) => ({
      create: (record, now) =>
        sound.create(
          withChanges(record, { clientId: Buffer.from(record.grant.clientId).subarray(0, 1023).toString() }),
          now,
        ),
    }),
  ),
  broken(
    'puts the subject twice into its cursor',
    'texts: the longest ones come back whole, in characters of 1 bytes',
    (sound) => ({
      async list(query) {
        const prefix = `${query.subject}${query.subject}:`
        const cursor = query.cursor?.slice(prefix.length)
        const { items, cursor: next } = await sound.list({ ...query, ...(cursor === undefined ? {} : { cursor }) })
        return { items, cursor: next === null ? null : prefix + next }
      },
    }),
  ),
  broken(
    'compares the first 32 bytes of a key',
    'texts: keys of claims of the greatest length that differ in their last byte stay apart',
    (sound) => ({ claimOnce: (claim, now) => sound.claimOnce({ ...claim, key: claim.key.slice(0, 32) }, now) }),
  ),
]

const listingRevocations: BrokenStore[] = [
  broken(
    'continues after the instant of the last revocation',
    'listRevoked: a revocation by an instance whose clock is behind is returned after the others',
    (_sound, { revocations }) => ({
      async listRevoked({ cursor, since, limit }) {
        const from = cursor === undefined ? since - 1 : Number(cursor)
        if (!Number.isFinite(from)) throw new ConfigurationError('cursor', 'is not one that listRevoked returned')
        const rest = revocations.filter(({ revokedAt }) => revokedAt > from).sort((a, b) => a.revokedAt - b.revokedAt)
        const items = rest.slice(0, limit).map(({ id, revokedAt }) => ({ id, revokedAt }))
        return { items, cursor: String(items.at(-1)?.revokedAt ?? from), hasMore: rest.length > limit }
      },
    }),
  ),
  broken(
    'logs a revocation when it begins, and makes it visible later',
    'listRevoked: a reader that continues from its cursors misses no concurrent revocation',
    (sound, { revocations }) => {
      const hidden = new Set<string>()
      return {
        async revoke(id, revocation) {
          hidden.add(id)
          const revoked = await sound.revoke(id, revocation)
          for (let turns = 0; turns < Number.parseInt(id, 36) % 5; turns += 1) await aMoment()
          hidden.delete(id)
          return revoked
        },
        listRevoked: async (query) =>
          pageOfLog(
            revocations.filter(({ id }) => !hidden.has(id)),
            query,
          ),
      }
    },
  ),
  broken(
    'does not log a family that was created as revoked',
    'listRevoked: a family that create stores as revoked is returned',
    (sound, { revocations }) => ({
      async create(record, now) {
        const stored = await sound.create(record, now)
        if (record.revocation !== null) revocations.pop()
        return stored
      },
    }),
  ),
  broken(
    'lists revocations of families that exist',
    'listRevoked: a revoked family that purge may delete is still returned',
    (sound, { families }) => ({
      async listRevoked(query) {
        const page = await sound.listRevoked(query)
        return { ...page, items: page.items.filter(({ id }) => families.has(id)) }
      },
    }),
  ),
  broken(
    'never deletes from the log',
    'listRevoked: an entry is kept for as long as an access token may be valid, and deleted later',
    (sound, { revocations }) => ({
      async revoke(id, revocation) {
        const before = [...revocations]
        const revoked = await sound.revoke(id, revocation)
        const added = revocations.filter((entry) => !before.includes(entry))
        revocations.splice(0, revocations.length, ...before, ...added)
        return revoked
      },
    }),
  ),
  broken(
    'keeps the cursor of the query at the end',
    'listRevoked: a cursor continues after its page, and an old one begins there again',
    (sound) => ({
      async listRevoked(query) {
        const page = await sound.listRevoked(query)
        return page.hasMore ? page : { ...page, cursor: query.cursor ?? page.cursor }
      },
    }),
  ),
]

/** What a store with a column for each member knows. */
function membersOf({ id, current, grant, lifetime, expiresAt, revocation }: FamilyRecord): FamilyChanges {
  return { ...current, ...grant, ...lifetime, id, expiresAt, revocation }
}

export const brokenStores: readonly BrokenStore[] = [
  ...rotating,
  ...revoking,
  ...creating,
  ...reading,
  ...forgetting,
  ...counting,
  ...truncating,
  ...listingRevocations,
]

const replicas = new WeakMap<Shelf['families'], Map<string, FamilyRecord>>()

/** Follows one write behind. */
function replicaOf(families: Shelf['families']): Map<string, FamilyRecord> {
  const standing = replicas.get(families)
  if (standing !== undefined) return standing
  const replica = new Map<string, FamilyRecord>()
  replicas.set(families, replica)
  const set = families.set.bind(families)
  families.set = (id, record) => {
    const before = families.get(id)
    if (before !== undefined) replica.set(id, before)
    return set(id, record)
  }
  return replica
}

/** An engine that can be killed. Connections from before a restart never work again. */
export interface Engine {
  readonly connect: () => TokenStore
  readonly kill: () => void
  readonly revive: () => void
}

/** Runs the work of a call on the shelf. `assertRunning` throws if the engine was killed. */
type Around = (assertRunning: () => void) => (work: () => Promise<unknown>) => Promise<unknown>

const soundly: Around = (assertRunning) => async (work) => {
  assertRunning()
  await aMoment()
  assertRunning()
  const answer = await work()
  await aMoment()
  assertRunning()
  return answer
}

interface Flaw {
  readonly around?: Around
  readonly change?: Change
  /** What the shelf loses when the engine dies. */
  readonly lose?: (shelf: Shelf) => void
}

export function engineOn({ around = soundly, change = () => ({}), lose = () => undefined }: Flaw = {}): Engine {
  const shelf = emptyShelf()
  let life = 1
  let isUp = true
  return {
    connect() {
      const mine = life
      const run = around(() => {
        if (!isUp || life !== mine) throw new Error('connection lost')
      })
      const sound = soundStore(shelf)
      const store = { ...sound, ...change(sound, shelf) }
      const methods = Object.entries(store).map(([name, method]) => {
        const call = method as (...input: unknown[]) => Promise<unknown>
        return [name, (...input: unknown[]) => run(() => call(...input))]
      })
      return Object.fromEntries(methods) as TokenStore
    },
    kill() {
      isUp = false
      lose(shelf)
    },
    revive() {
      isUp = true
      life += 1
    },
  }
}

export interface BrokenEngine {
  readonly fault: string
  readonly caughtBy: string
  readonly start: () => Engine
}

export const brokenEngines: readonly BrokenEngine[] = [
  {
    fault: 'answers nothing where it has failed',
    caughtBy: 'crash: while it is down every call rejects, and nothing is made up',
    start: () => engineOn({ around: (assertRunning) => (work) => soundly(assertRunning)(work).catch(() => null) }),
  },
  {
    fault: 'lists from its memory when it is gone',
    caughtBy: 'crash: while it is down every call rejects, and nothing is made up',
    start() {
      const engine = engineOn()
      const connect = () => ({ ...engine.connect(), list: async () => ({ items: [], cursor: null }) })
      return { ...engine, connect }
    },
  },
  {
    fault: 'loses the last write, though it has answered',
    caughtBy: 'crash: what was answered is there afterwards',
    start() {
      let undo: () => void = () => undefined
      return engineOn({
        change: (sound, shelf) => ({
          async revoke(id, revocation) {
            const before = shelf.families.get(id)
            undo = () => before && shelf.families.set(id, before)
            return sound.revoke(id, revocation)
          },
          async claimOnce(claim, now) {
            undo = () => undefined
            return sound.claimOnce(claim, now)
          },
        }),
        lose: () => undo(),
      })
    },
  },
  {
    fault: 'keeps its claims in memory',
    caughtBy: 'crash: what was answered is there afterwards',
    start: () => engineOn({ lose: ({ claims }) => claims.clear() }),
  },
  {
    fault: 'falls back by a rotation',
    caughtBy: 'crash: amid rotations and revocations, each is there wholly or not at all, and what was answered is',
    start() {
      const before = new Map<string, FamilyRecord>()
      return engineOn({
        change: (sound, { families }) => ({
          async rotate(command) {
            const record = families.get(command.id)
            if (record !== undefined) before.set(command.id, record)
            return sound.rotate(command)
          },
        }),
        lose({ families }) {
          for (const [id, record] of before) families.set(id, record)
          before.clear()
        },
      })
    },
  },
  {
    fault: 'writes half a rotation',
    caughtBy: 'crash: amid rotations and revocations, each is there wholly or not at all, and what was answered is',
    start() {
      let half: FamilyRecord | null = null
      return engineOn({
        change: (sound, { families }) => ({
          async rotate(command) {
            const record = families.get(command.id)
            half = record && command.next ? withChanges(record, { verifier: command.next.verifier }) : null
            return sound.rotate(command)
          },
        }),
        lose: ({ families }) => half && families.set(half.id, half),
      })
    },
  },
  {
    fault: 'creates a family before its list entry, and never the entry after a crash',
    caughtBy: 'crash: after a crash during creations, every family that find returns is listed, and vice versa',
    start() {
      const fresh: FamilyRecord[] = []
      return engineOn({
        change: (sound) => ({
          async create(record, now) {
            fresh.push(record)
            return sound.create(record, now)
          },
        }),
        lose({ index }) {
          const last = fresh.at(-1)
          if (last !== undefined) index.get(last.grant.subject)?.delete(last.id)
        },
      })
    },
  },
]
