import { randomBytes } from 'node:crypto'
import { createRefreshTokens, type FamilyRecord, type TokenStore } from '@baton/core'
import { type FamilyChanges, familyOf as recordOf, rotationOf as rotationAt, successorOf } from '@baton/store-testkit'
import { postgresStore, type PostgresStoreOptions, type Queryable } from '../src/index.js'

export const DAY = 86_400_000
export const NOW = Date.UTC(2027, 0, 15)
export const SECRET = 'a secret of at least thirty-two bytes'
export const LONG = 120_000

export function freshSchema(): string {
  return `t${randomBytes(8).toString('hex')}`
}

/** A store with its own tables. */
export async function freshStore(db: Queryable, options: PostgresStoreOptions = {}) {
  const store = postgresStore(db, { schema: freshSchema(), ...options })
  await store.migrate()
  return store
}

export function tokensOn(store: TokenStore, options: { storeTimeoutSeconds?: number; now?: () => number } = {}) {
  return createRefreshTokens({ store, secrets: [SECRET], now: () => NOW, ...options })
}

/** The URL of connections that begin with these settings. */
export function urlWith(url: string, settings: Readonly<Record<string, string>>): string {
  const changed = new URL(url)
  const given = changed.searchParams.get('options')
  const flags = Object.entries(settings).map(([name, value]) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`)
  changed.searchParams.set('options', [...(given === null ? [] : [given]), ...flags].join(' '))
  return changed.href
}

/** For what is tested without a crash. */
export const QUICK = { synchronous_commit: 'off' }

export function familyOf(name: string, changes: FamilyChanges = {}): FamilyRecord {
  const times = {
    rotatedAt: NOW,
    createdAt: NOW,
    keepUntil: NOW,
    expiresAt: NOW + DAY,
    absoluteExpiresAt: NOW + 10 * DAY,
  }
  return recordOf(name, { ...times, ...changes })
}

export function rotationOf(record: FamilyRecord, now = NOW) {
  return { ...rotationAt(record, now), next: successorOf(record, now) }
}

export const REVOCATION = { id: 'revocation', at: NOW, reason: 'logout' } as const
