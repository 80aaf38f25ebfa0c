import { isText, describeValue } from '../model/validate.js'
import {
  ConfigurationError,
  isConfigurationError,
  OperationalError,
  type OperationalErrorCode,
  StoreError,
} from '../model/errors.js'
import type { FamilyId, FamilyRecord } from '../model/family.js'
import { toInteger, withIntegers } from '../model/numbers.js'
import type { Page, RotateCommand, TokenStore } from '../store.js'
import { TEXT_LIMITS } from '../model/text-limits.js'

const METHODS = ['create', 'find', 'rotate', 'revoke', 'list', 'listRevoked', 'purge', 'claimOnce'] as const

/** Throws `ConfigurationError` unless the value has the methods of a store. */
export function assertStore(option: string, value: unknown): asserts value is TokenStore {
  for (const method of METHODS) {
    if (typeof (value as Partial<TokenStore> | null | undefined)?.[method] !== 'function')
      throw new ConfigurationError(
        option,
        `has no method ${method}(); pass the return value of a store package, not a driver or a URL`,
      )
  }
}

export interface GuardOptions {
  /** Null for no limit. */
  readonly timeoutMs: number | null
  readonly onFault: (code: OperationalErrorCode, operation: string) => void
  /** Called with every revoked family that the store returns, whichever call returns it. */
  readonly onRevoked: (id: FamilyId) => void
}

/**
 * Wraps a store with integers, a time-out and one type of error. Every number that reaches the store is an integer that every engine
 * stores exactly: a number that a column rejects would fail the other commands of its batch as well. Every call resolves, or rejects with
 * `StoreError` and the driver's error as its cause. A call that timed out may still have written; a retry is safe. A result for another
 * family, or `undefined` instead of null, is `store_broken`. A cursor that the store rejects is a `ConfigurationError` and emits no fault
 * event: it may have come from a client, and a client must not cause an alert.
 */
export function guardStore(store: TokenStore, { timeoutMs, onFault, onRevoked }: GuardOptions): TokenStore {
  async function call<Given, Answer>(
    method: (typeof METHODS)[number],
    ask: () => Promise<Given>,
    check: (given: Given) => Answer,
  ): Promise<Answer> {
    try {
      return check(await within(timeoutMs, method, ask()))
    } catch (cause) {
      if (cause instanceof ConfigurationError) throw cause
      const operation = `store.${method}`
      const fault =
        cause instanceof OperationalError ? cause : new StoreError('store_failed', `${operation} failed`, { cause })
      onFault(fault.code, operation)
      throw fault
    }
  }

  async function callWithCursor<Given extends PageWithCursor>(
    method: 'list' | 'listRevoked',
    cursor: string | undefined,
    ask: () => Promise<Given>,
  ): Promise<Given> {
    const rejectCursor = (cause: unknown): never => {
      if (!isConfigurationError(cause)) throw cause
      if (cursor === undefined) throw new StoreError('store_failed', `store.${method} failed`, { cause })
      throw new ConfigurationError('cursor', `is not one that ${method} returned; omit it to get the first page`, {
        cause,
      })
    }
    return call(
      method,
      async () => {
        try {
          return await ask()
        } catch (cause) {
          return rejectCursor(cause)
        }
      },
      (page) => assertCursor(method, page),
    )
  }

  /** The store may be written in JavaScript, so its types are not guaranteed. */
  function answerAbout(id: FamilyId, record: FamilyRecord | null | undefined): FamilyRecord | null {
    if (record === null || record?.id === id) {
      if (record !== null && record.revocation !== null) onRevoked(id)
      return record
    }
    const got = record === undefined ? 'undefined' : 'another family'
    throw new StoreError('store_broken', `the store returned ${got}, expected the record of family ${id} or null`)
  }

  return {
    create: (record, now) =>
      call(
        'create',
        () => store.create(wholeRecord(record), toInteger('now', now)),
        (stored) => {
          const ours = answerAbout(record.id, stored)
          if (ours === null) throw new StoreError('store_broken', 'store.create returned null')
          return ours
        },
      ),
    find: (id) =>
      call(
        'find',
        () => store.find(id),
        (record) => answerAbout(id, record),
      ),
    rotate: (command) =>
      call(
        'rotate',
        () => store.rotate(wholeCommand(command)),
        (record) => answerAbout(command.id, record),
      ),
    revoke: (id, revocation) =>
      call(
        'revoke',
        () => store.revoke(id, withIntegers(revocation)),
        (record) => answerAbout(id, record),
      ),
    list: (query) => callWithCursor('list', query.cursor, () => store.list(withIntegers(query))),
    listRevoked: (query) => callWithCursor('listRevoked', query.cursor, () => store.listRevoked(withIntegers(query))),
    purge: (now, limit) => call('purge', () => store.purge(toInteger('now', now), toInteger('limit', limit)), asItIs),
    claimOnce: (oneTimeKey, now) =>
      call(
        'claimOnce',
        () => store.claimOnce(withIntegers(oneTimeKey), toInteger('now', now)),
        (owner: unknown) => {
          if (typeof owner === 'string' && owner !== '') return owner
          throw new StoreError(
            'store_broken',
            `store.claimOnce returned ${describeValue(owner)} instead of the owner of the key`,
          )
        },
      ),
  }
}

function wholeRecord(record: FamilyRecord): FamilyRecord {
  const { current, grant, lifetime, revocation } = record
  return withIntegers({
    ...record,
    current: withIntegers(current),
    grant: withIntegers(grant),
    lifetime: withIntegers(lifetime),
    revocation: revocation && withIntegers(revocation),
  })
}

function wholeCommand(command: RotateCommand): RotateCommand {
  const { next } = command
  const whole = next === null ? next : withIntegers(next)
  return withIntegers(whole === next ? command : { ...command, next: whole })
}

type PageWithCursor = Pick<Page<unknown>, 'cursor'>

/** Core would reject an invalid cursor when the caller returns it, and the listing would end early. */
function assertCursor<Given extends PageWithCursor>(method: 'list' | 'listRevoked', page: Given): Given {
  const { cursor } = page
  const mayBeNull = method === 'list'
  if ((mayBeNull && cursor === null) || isText(cursor, TEXT_LIMITS.cursorBytes)) return page
  throw new StoreError(
    'store_broken',
    `store.${method} returned a cursor that is ${mayBeNull ? 'neither null nor' : 'not'} well-formed text of 1 to ${String(TEXT_LIMITS.cursorBytes)} bytes`,
  )
}

function asItIs<Answer>(answer: Answer): Answer {
  return answer
}

function within<Answer>(timeoutMs: number | null, method: string, answer: Promise<Answer>): Promise<Answer> {
  if (timeoutMs === null) return answer
  return new Promise((resolve, reject) => {
    let isSettled = false
    let timer: ReturnType<typeof setTimeout> | undefined
    const settled = (settle: (value: never) => void) => (value: unknown) => {
      isSettled = true
      clearTimeout(timer)
      settle(value as never)
    }
    // A store that is written in JavaScript may return a plain value.
    Promise.resolve(answer).then(settled(resolve), settled(reject))
    // A store that responds synchronously needs no timer: its promise settles before this callback.
    queueMicrotask(() => {
      if (isSettled) return
      timer = setTimeout(() => {
        reject(new StoreError('store_timeout', `store.${method} did not respond within ${String(timeoutMs)} ms`))
      }, timeoutMs)
    })
  })
}
