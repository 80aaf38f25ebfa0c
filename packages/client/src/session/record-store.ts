import { parse, type SessionRecord } from './record.js'
import type { Environment } from '../platform/environment.js'
import type { Emit } from '../platform/events.js'
import type { SessionStorage } from '../platform/storage.js'
import type { RequestBuilder } from '../protocol/requests.js'
import { within } from '../platform/timing.js'

type Revise<Revised extends SessionRecord | null = SessionRecord | null> = (record: SessionRecord | null) => Revised

/** The stored session. Never rejects and always returns in time: if the storage fails, the session continues in memory. */
export interface RecordStore {
  /** Returns undefined if every read has failed so far: it is unknown whether there is a session. */
  read(): Promise<SessionRecord | null | undefined>
  /** Stores what `revise` returns for the current record, and resolves with it. Retries while other users write. Null changes nothing. */
  change<Revised extends SessionRecord | null>(revise: Revise<Revised>): Promise<Revised>
}

interface RecordStoreContext {
  readonly environment: Environment
  readonly storage: SessionStorage
  readonly endpoints: Pick<RequestBuilder, 'redact'>
  readonly emit: Emit
}

/** A storage call that takes longer has failed. */
const STORAGE_SECONDS = 10
/** After a call that did not return in time, the storage is not called for this long, unless that call returns. */
const UNRESPONSIVE_MS = 30_000
/** A storage that rejects this many swaps of the text that it returned does not work. */
const MAX_SWAPS = 100

export function createRecordStore({ environment, storage, endpoints, emit }: RecordStoreContext): RecordStore {
  /** The text in the storage; undefined until it has been read. */
  let storedText: string | null | undefined
  /** The current text: `storedText`, or a text that could not be written. */
  let currentText: string | null | undefined
  /** Changes that were made before the storage could be read. */
  const unsavedChanges: Revise[] = []
  /** Texts whose write failed or did not return. The storage may contain them. */
  const unconfirmed = new Set<string | null>()
  let unresponsiveUntil = 0

  /** Returns undefined if the storage fails. */
  async function callStorage<T>(call: () => Promise<T>): Promise<T | undefined> {
    if (environment.elapsed() < unresponsiveUntil) return undefined
    try {
      return await within(environment, STORAGE_SECONDS, async (signal) => {
        signal.addEventListener('abort', () => (unresponsiveUntil = environment.elapsed() + UNRESPONSIVE_MS))
        try {
          return await call()
        } finally {
          unresponsiveUntil = 0
        }
      })
    } catch (error) {
      emit('storageFailed', { error })
      return undefined
    }
  }

  async function read(): Promise<string | null | undefined> {
    const text = await callStorage(() => storage.read())
    if (text !== undefined && text !== storedText) {
      storedText = text
      // A write that failed but was applied is older than the current text.
      if (!unconfirmed.has(text)) currentText = text
      const missed = unsavedChanges.splice(0)
      for (const revise of missed) currentText = serialize(revise(parse(currentText))) ?? currentText
      if (missed[0]) void change((record) => record)
    }
    return currentText
  }

  async function change<Revised extends SessionRecord | null>(revise: Revise<Revised>): Promise<Revised> {
    for (let swaps = 1; ; swaps += 1) {
      const before = await read()
      const revised = revise(parse(before))
      const after = serialize(revised)
      if (after === null) return revised
      // Another change was made on this page in the meantime.
      if (before !== currentText) continue
      const expected = storedText
      const isSwapped = expected === undefined ? undefined : await callStorage(() => storage.swap(expected, after))
      if (isSwapped) {
        storedText = after
        unconfirmed.clear()
      } else {
        if (isSwapped === false) {
          if (swaps < MAX_SWAPS) continue
          emit('storageFailed', { error: new Error('the storage rejects every swap') })
        }
        if (before !== currentText) continue
        if (expected === undefined) unsavedChanges.push(revise)
        else unconfirmed.add(after)
      }
      currentText = after
      // Other pages need not read an unknown session.
      if (revised?.session.state !== 'unknown') storage.announce?.()
      return revised
    }
  }

  const serialize = (record: SessionRecord | null) => record && JSON.stringify(record, endpoints.redact)

  return {
    async read() {
      const text = await read()
      return text === undefined ? text : parse(text)
    },
    change,
  }
}
