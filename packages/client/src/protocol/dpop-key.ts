import { transact } from '../platform/idb.js'
import { webCrypto } from './encoding.js'

/** The platform's own key, by whatever name its types have. */
type CryptoKey = Parameters<typeof crypto.subtle.exportKey>[1]

/** An ECDSA key on P-256, which signs by ES256. */
export interface KeyPair {
  readonly privateKey: CryptoKey
  readonly publicKey: CryptoKey
}

/** Where a key is kept. */
export interface KeyStore {
  /** Null where there is none. */
  read(): Promise<KeyPair | null>
  /** Keeps this one, unless there is one: what is there then. */
  keep(pair: KeyPair): Promise<KeyPair>
}

/** Not the database of sessions, so that each has a version of its own. */
const PLACE = { database: 'baton-keys', table: 'keys' }

/** A key that nobody can take out of the browser, scripts of the page included. */
export function createKeyPair(): Promise<KeyPair> {
  return webCrypto().generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify'])
}

/** Keeps the key in IndexedDB: the only place of a browser that takes one which cannot be read. */
export function indexedDbKeyStore(name: string): KeyStore {
  /** What is there once `pair`, if there is one, has taken a place that was free. */
  const found = (pair: KeyPair | null) =>
    transact<KeyPair | null>(PLACE, (table, finish) => {
      const getting = table.get(name)
      getting.onsuccess = () => {
        const kept = isKeyPair(getting.result) ? getting.result : null
        if (kept === null && pair !== null) table.put(pair, name)
        finish(kept ?? pair)
      }
    })
  return {
    read: () => found(null),
    keep: async (pair) => (await found(pair)) ?? pair,
  }
}

function isKeyPair(value: unknown): value is KeyPair {
  return typeof value === 'object' && value !== null && 'privateKey' in value && 'publicKey' in value
}
