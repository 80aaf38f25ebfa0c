/** The little of IndexedDB that is used here. What is called at an event is only ever set, whatever its type. */
interface Request<T> {
  readonly result: T
  readonly error: unknown
  onsuccess: unknown
  onerror: unknown
}

interface Transaction {
  readonly error: unknown
  objectStore(name: string): Table
  oncomplete: unknown
  onabort: unknown
}

interface Database {
  createObjectStore(name: string): unknown
  transaction(name: string, mode: 'readwrite', options: { durability: 'strict' }): Transaction
  close(): void
}

interface OpenRequest extends Request<Database> {
  onupgradeneeded: unknown
}

interface Surroundings {
  readonly fetch: unknown
  readonly indexedDB?: { open(name: string, version: number): OpenRequest }
}

/** An object store of IndexedDB, in a transaction. */
export interface Table {
  get(key: string): Request<unknown>
  put(value: unknown, key: string): Request<unknown>
}

/** Runs `work` in one transaction on the only table of a database, and resolves with its result once that is durable. */
export async function transact<T>(
  { database: name, table }: { readonly database: string; readonly table: string },
  work: (table: Table, finish: (result: T) => void) => void,
): Promise<T> {
  const here: Surroundings = globalThis
  if (here.indexedDB === undefined) throw new Error('there is no IndexedDB here')
  const opening = here.indexedDB.open(name, 1)
  opening.onupgradeneeded = () => opening.result.createObjectStore(table)
  // Opened and closed each time: a connection that stays open stands in the way of whoever deletes the database.
  const database = await resultOf(opening)
  try {
    return await new Promise<T>((resolve, reject) => {
      const transaction = database.transaction(table, 'readwrite', { durability: 'strict' })
      work(transaction.objectStore(table), (result) => {
        transaction.oncomplete = () => resolve(result)
      })
      transaction.onabort = () => reject(failure(transaction))
    })
  } finally {
    database.close()
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
