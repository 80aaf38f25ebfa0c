import { assertConfirmation, type Confirmation } from './confirmation.js'
import { demandBoolean, demandName, demandObject, shown } from './demand.js'
import { type Engine, namesOf } from './engine.js'
import { ConfigurationError, StoreError } from './errors.js'
import { expiryAt, type Family, type FamilyGrant, type FamilyRecord, toFamily } from './family.js'
import { distinctResources, isResource } from './resource.js'
import { sameText } from './same-text.js'
import { parseScope } from './scope.js'
import { TEXT_LIMITS } from './text-limits.js'
import { firstToken, formatToken, randomSeed, type Seed, verifierOf } from './token.js'

/** The client of an app that is its own only client. */
export const FIRST_PARTY = 'first-party'

const { scopeBytes, audienceEntries, metadataBytes } = TEXT_LIMITS

export interface IssueRequest {
  /** Who signed in: your user's id. At most 1024 bytes. */
  readonly subject: string
  /** Default `first-party`. A token works only for the client that it was issued to. At most 1024 bytes. */
  readonly clientId?: string
  /** Space-separated (RFC 6749 section 3.3), at most 4096 characters. Never grows afterwards. */
  readonly scope?: string
  /**
   * Resource servers of the grant (RFC 8707), at most 64 of at most 1024 bytes each. Never grows afterwards. URLs that differ only in the case of scheme or
   * host, the default port or an empty path are the same resource; the first spelling is kept.
   */
  readonly audience?: readonly string[]
  /** The key that every request must prove: `{ jkt }` or `{ 'x5t#S256' }`, of at most 1024 bytes. Default null: a bearer token. */
  readonly confirmation?: Confirmation | null
  /** True for offline_access: the family gets the policy's offline limits. */
  readonly offline?: boolean
  /** Shown in session lists, such as the user agent; at most 4096 bytes of JSON. */
  readonly metadata?: Readonly<Record<string, unknown>>
}

export interface Issued {
  /** A secret: give it to the client and keep no copy. */
  readonly refreshToken: string
  readonly family: Family
}

export async function issue(engine: Engine, request: IssueRequest): Promise<Issued> {
  const grant = checkGrant('issue', request)
  const { store, ring, now: clock, random, emit } = engine
  const now = clock()
  const seed = randomSeed(random)
  const record = newFamily(engine, { grant, seed, now, createdAt: now, keepUntil: now })
  const stored = await store.create(record, now)
  if (!sameText(stored.current.verifier, record.current.verifier)) {
    emit({ type: 'fault', at: now, code: 'store_broken', operation: 'store.create' })
    throw new StoreError('store_broken', 'store.create returned another family than the one it was given')
  }
  const family = toFamily(stored)
  emit({ type: 'issued', at: now, ...namesOf(stored), offline: family.offline })
  return { refreshToken: formatToken(firstToken(seed, record.grant), engine.tokenPrefix, ring.current), family }
}

/** What a family begins with. Instants are epoch milliseconds. */
export interface Beginning {
  readonly grant: CheckedGrant
  readonly seed: Seed
  readonly now: number
  /** When its holder signed in; the absolute limit counts from here. */
  readonly createdAt: number
  /** Default: the policy's. */
  readonly absoluteExpiresAt?: number | undefined
  /** Until when that with which it begins could come again. */
  readonly keepUntil: number
  /** Default: a fresh one. */
  readonly nonce?: string
  readonly retryKey?: string | null
}

/** The record of a family that its first token is the current one of. */
export function newFamily(
  engine: Engine,
  { grant, seed, now, createdAt, absoluteExpiresAt, keepUntil, nonce = engine.nonce(), retryKey = null }: Beginning,
): FamilyRecord {
  const { ring, policy } = engine
  const { idleMs, absoluteMs } = grant.offline ? policy.offline : policy
  const lifetime = { idleMs, absoluteExpiresAt: absoluteExpiresAt ?? createdAt + absoluteMs, keepUntil }
  const token = firstToken(seed, { ...grant, createdAt })
  const verifier = verifierOf(token, grant)
  return {
    id: token.familyId,
    current: { generation: 0, verifier, nonce, keyId: ring.current.id, rotatedAt: now, retryKey },
    grant: { ...grant, createdAt },
    lifetime,
    expiresAt: expiryAt(now, lifetime),
    revocation: null,
  }
}

export type CheckedGrant = Omit<FamilyGrant, 'createdAt'>

/** Checks a grant and fills in its defaults. Throws `ConfigurationError`. */
export function checkGrant(option: string, request: IssueRequest): CheckedGrant {
  demandObject(option, request)
  const { subject, clientId = FIRST_PARTY, confirmation = null, offline = false } = request
  demandName('subject', subject)
  demandName('clientId', clientId)
  demandBoolean('offline', offline)
  if (confirmation !== null) assertConfirmation('confirmation', confirmation)
  return {
    subject,
    clientId,
    scope: checkScope(request.scope ?? ''),
    audience: checkAudience(request.audience ?? []),
    confirmation: confirmation && { ...confirmation },
    offline,
    metadata: checkMetadata(request.metadata ?? {}),
  }
}

function checkScope(scope: unknown): string {
  if (typeof scope !== 'string')
    throw new ConfigurationError('scope', `must be a string, got ${shown(scope)}; join a list by single spaces`)
  if (scope.length > scopeBytes)
    throw new ConfigurationError(
      'scope',
      `is ${String(scope.length)} characters long, at most ${String(scopeBytes)} are kept; name groups of permissions instead`,
    )
  const scopes = parseScope(scope)
  if (scopes === null)
    throw new ConfigurationError(
      'scope',
      'breaks the grammar of RFC 6749 section 3.3; separate tokens by single spaces',
    )
  return scopes.join(' ')
}

function checkAudience(audience: unknown): string[] {
  if (!Array.isArray(audience) || audience.length > audienceEntries)
    throw new ConfigurationError(
      'audience',
      `must be a list of at most ${String(audienceEntries)} resources, got ${Array.isArray(audience) ? `one of ${String(audience.length)}` : shown(audience)}`,
    )
  return distinctResources(
    audience.map((resource: unknown) => {
      demandName('audience', resource)
      if (!isResource(resource))
        throw new ConfigurationError(
          'audience',
          `must not contain a fragment or a relative reference (RFC 8707 section 2), got ${shown(resource)}; give the absolute URL of the API, or a name`,
        )
      return resource
    }),
  )
}

/** Returns a copy that is plain JSON, so that every store gives back what went in. */
function checkMetadata(metadata: unknown): Record<string, unknown> {
  demandObject('metadata', metadata)
  const json = jsonOf(metadata)
  const copy: unknown = json === undefined ? undefined : JSON.parse(json)
  demandObject('metadata', copy)
  const size = Buffer.byteLength(json ?? '')
  if (size > metadataBytes)
    throw new ConfigurationError(
      'metadata',
      `is ${String(size)} bytes of JSON, at most ${String(metadataBytes)} are kept; store the rest yourself, under the family id`,
    )
  return { ...copy }
}

/** Undefined where there is no JSON for it, such as for a cycle. */
function jsonOf(value: object): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}
