import { transact } from '../platform/idb.js'
import { webCrypto } from './encoding.js'

/** The `CryptoKey` type of the platform. */
type CryptoKey = Parameters<typeof crypto.subtle.exportKey>[1]

/** An ECDSA key pair on P-256, for ES256. */
export interface KeyPair {
  readonly privateKey: CryptoKey
  readonly publicKey: CryptoKey
}

/** Stores a key pair. */
export interface KeyStore {
  /** Returns null if there is none. */
  read(): Promise<KeyPair | null>
  /** Stores this pair unless there is one. Returns the stored pair. */
  keep(pair: KeyPair): Promise<KeyPair>
}

/** A separate database, so that its version is independent of the sessions. */
const PLACE = { database: 'baton-keys', table: 'keys' }

/** Creates a key pair whose private key is not extractable. */
export function createKeyPair(): Promise<KeyPair> {
  return webCrypto().generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify'])
}

/** Stores the key in IndexedDB, which can store non-extractable keys. */
export function indexedDbKeyStore(name: string): KeyStore {
  /** Returns the stored pair, after storing `pair` if there was none. */
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
