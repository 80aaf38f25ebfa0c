import type { SessionStorage } from '@baton/client'

export interface IndexedDbOptions {
  /** Tells sessions of one origin apart. Default `baton`. */
  readonly key?: string
}

/** The little of IndexedDB that is used here. */
interface Request<T> {
  readonly result: T
  readonly error: unknown
  onsuccess: (() => void) | null
  onerror: (() => void) | null
}

interface Store {
  get(key: string): Request<unknown>
  put(value: string, key: string): Request<unknown>
}

interface Transaction {
  readonly error: unknown
  objectStore(name: string): Store
  oncomplete: (() => void) | null
  onabort: (() => void) | null
}

interface Database {
  createObjectStore(name: string): unknown
  transaction(name: string, mode: 'readonly' | 'readwrite', options: { durability: 'strict' }): Transaction
  close(): void
}

interface OpenRequest extends Request<Database> {
  onupgradeneeded: (() => void) | null
}

interface Surroundings {
  readonly fetch: unknown
  readonly indexedDB?: { open(name: string, version: number): OpenRequest }
}

const DATABASE = 'baton'
const STORE = 'sessions'

/** Keeps the session in IndexedDB: shared with workers, which have no Web Storage, and swapped in one transaction. */
export function indexedDbStorage({ key = 'baton' }: IndexedDbOptions = {}): SessionStorage {
  const here: Surroundings = globalThis

  /** Runs `work` in one transaction, and resolves with its result once that is durable. */
  async function transact<T>(work: (store: Store, finish: (result: T) => void) => void): Promise<T> {
    if (here.indexedDB === undefined) throw new Error('there is no IndexedDB here')
    const opening = here.indexedDB.open(DATABASE, 1)
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE)
    // Opened and closed each time: a connection that stays open stands in the way of whoever deletes the database.
    const database = await resultOf(opening)
    try {
      return await new Promise<T>((resolve, reject) => {
        const transaction = database.transaction(STORE, 'readwrite', { durability: 'strict' })
        work(transaction.objectStore(STORE), (result) => {
          transaction.oncomplete = () => resolve(result)
        })
        transaction.onabort = () => reject(failure(transaction))
      })
    } finally {
      database.close()
    }
  }

  function stored(store: Store, use: (text: string | null) => void): void {
    const getting = store.get(key)
    getting.onsuccess = () => use(typeof getting.result === 'string' ? getting.result : null)
  }

  return {
    name: `indexedDB:${key}`,
    read: () => transact<string | null>((store, finish) => stored(store, finish)),
    swap: (before, after) =>
      transact<boolean>((store, finish) =>
        stored(store, (text) => {
          if (text === before) store.put(after, key)
          finish(text === before)
        }),
      ),
  }
}

function resultOf<T>(request: Request<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(failure(request))
  })
}

function failure({ error }: { readonly error: unknown }): Error {
  return error instanceof Error ? error : new Error('IndexedDB gave up')
}
