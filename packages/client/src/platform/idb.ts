import { createEnvironment } from './environment.js'
import { createUnavailableError } from './denied-storage.js'
import { within } from './timing.js'

/** The part of IndexedDB that is used. Event handlers are only assigned, so their type does not matter. */
interface Request<T> {
  readonly result: T
  readonly error: unknown
  onsuccess: unknown
  onerror: unknown
}

interface Transaction {
  readonly error: unknown
  objectStore(name: string): Table
  abort(): void
  oncomplete: unknown
  onabort: unknown
}

interface Database {
  createObjectStore(name: string): unknown
  transaction(name: string, mode: 'readwrite', options: { durability: 'strict' }): Transaction
  close(): void
  onversionchange: unknown
}

interface OpenRequest extends Request<Database> {
  onupgradeneeded: unknown
}

interface Globals {
  readonly fetch: unknown
  readonly indexedDB?: { open(name: string, version: number): OpenRequest }
}

/** An object store in a transaction. */
export interface Table {
  get(key: string): Request<unknown>
  put(value: unknown, key: string): Request<unknown>
}

/** IndexedDB may never respond: after a crash of its process, or while another page blocks the deletion of a database. */
const RESPONSE_SECONDS = 5

/**
 * Runs `work` in one transaction on the only object store of a database. Resolves with its result once the transaction is durable. Rejects
 * if IndexedDB does not respond within 5 seconds.
 */
export function transact<T>(
  { database: name, table }: { readonly database: string; readonly table: string },
  work: (table: Table, finish: (result: T) => void) => void,
): Promise<T> {
  return within(createEnvironment(), RESPONSE_SECONDS, async (signal) => {
    // A new connection for each call: an open one blocks pages that delete the database.
    const database = await open(name, table)
    try {
      if (signal.aborted) throw new Error('IndexedDB responded too late')
      return await new Promise<T>((resolve, reject) => {
        const transaction = database.transaction(table, 'readwrite', { durability: 'strict' })
        transaction.onabort = () => reject(failure(transaction))
        signal.addEventListener('abort', () => transaction.abort())
        work(transaction.objectStore(table), (result) => {
          transaction.oncomplete = () => resolve(result)
        })
      })
    } finally {
      database.close()
    }
  })
}

async function open(name: string, table: string): Promise<Database> {
  const { indexedDB }: Globals = globalThis
  if (indexedDB === undefined) throw createUnavailableError('IndexedDB')
  const opening = indexedDB.open(name, 1)
  opening.onupgradeneeded = () => opening.result.createObjectStore(table)
  const database = await toPromise(opening)
  // The connection closes once its transaction has ended.
  database.onversionchange = () => database.close()
  return database
}

function toPromise<T>(request: Request<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(failure(request))
  })
}

function failure({ error }: { readonly error: unknown }): Error {
  return error instanceof Error ? error : new Error('IndexedDB aborted the transaction')
}
