import { demandBoolean, demandName, demandObject, shown } from './demand.js'
import { type Engine, namesOf } from './engine.js'
import { MisuseError, StoreError } from './errors.js'
import { expiryAt, type Family, type FamilyRecord, toFamily } from './family.js'
import { parseScope } from './scope.js'
import { firstToken, formatToken, freshNonce, sameText, verifierOf } from './token.js'

/** The client of an app that is its own only client. */
export const FIRST_PARTY = 'first-party'

const MOST_METADATA_BYTES = 4096
const MOST_SCOPE_LENGTH = 4096
const MOST_RESOURCES = 64

export interface IssueRequest {
  /** Who signed in: your user's id. At most 1024 bytes. */
  readonly subject: string
  /** Default `first-party`. A token works only for the client that it was issued to. */
  readonly clientId?: string
  /** Space-separated (RFC 6749 section 3.3), at most 4096 characters. Never grows afterwards. */
  readonly scope?: string
  /** Resource servers of the grant (RFC 8707), at most 64. Never grows afterwards. */
  readonly audience?: readonly string[]
  /** `jkt:…` or `x5t#S256:…`: the key that must be proven at every use. */
  readonly boundKey?: string | null
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
  const grant = checkGrant(request)
  const { store, ring, policy, now: clock, random, emit } = engine
  const now = clock()
  const { idleMs, absoluteMs } = grant.offline ? policy.offline : policy
  const token = firstToken(random, { createdAt: now, bound: grant.boundKey !== null })
  const lifetime = { idleMs, absoluteExpiresAt: now + absoluteMs }
  const record: FamilyRecord = {
    ...grant,
    ...lifetime,
    id: token.familyId,
    generation: 0,
    verifier: verifierOf(token, grant),
    nonce: freshNonce(random),
    keyId: ring.current.id,
    rotatedAt: now,
    retryKey: null,
    expiresAt: expiryAt(now, lifetime),
    keepUntil: now,
    revocation: null,
    createdAt: now,
  }
  const stored = await store.create(record, now)
  if (!sameText(stored.verifier, record.verifier)) {
    emit({ type: 'fault', at: now, code: 'store_broken', operation: 'store.create' })
    throw new StoreError('store_broken', 'store.create returned another family than the one it was given')
  }
  const family = toFamily(stored)
  emit({ type: 'issued', at: now, ...namesOf(stored), offline: stored.offline })
  return { refreshToken: formatToken(token, engine.tokenPrefix, ring.current), family }
}

function checkGrant(request: IssueRequest) {
  demandObject('issue', request)
  const { subject, clientId = FIRST_PARTY, boundKey = null, offline = false } = request
  demandName('subject', subject)
  demandName('clientId', clientId)
  demandBoolean('offline', offline)
  if (boundKey !== null) demandBoundKey(boundKey)
  return {
    subject,
    clientId,
    scope: checkScope(request.scope ?? ''),
    audience: checkAudience(request.audience ?? []),
    boundKey,
    offline,
    metadata: checkMetadata(request.metadata ?? {}),
  }
}

/** A thumbprint without its kind would never match what a request proves, and sign its owner out at the first refresh. */
function demandBoundKey(boundKey: unknown): void {
  demandName('boundKey', boundKey)
  if (!/^(jkt|x5t#S256):./.test(boundKey))
    throw new MisuseError('boundKey', `expected jkt:… or x5t#S256:…; put the kind before the thumbprint`)
}

function checkScope(scope: unknown): string {
  if (typeof scope !== 'string')
    throw new MisuseError('scope', `expected a string, got ${shown(scope)}; join a list by single spaces`)
  if (scope.length > MOST_SCOPE_LENGTH)
    throw new MisuseError(
      'scope',
      `is ${String(scope.length)} characters long, at most ${String(MOST_SCOPE_LENGTH)} are kept; name groups of permissions instead`,
    )
  const scopes = parseScope(scope)
  if (scopes === null)
    throw new MisuseError('scope', 'breaks the grammar of RFC 6749 section 3.3; separate tokens by single spaces')
  return scopes.join(' ')
}

function checkAudience(audience: unknown): string[] {
  if (!Array.isArray(audience) || audience.length > MOST_RESOURCES)
    throw new MisuseError(
      'audience',
      `expected a list of at most ${String(MOST_RESOURCES)} resources, got ${Array.isArray(audience) ? `one of ${String(audience.length)}` : shown(audience)}`,
    )
  return [
    ...new Set(
      audience.map((resource: unknown) => {
        demandName('audience', resource)
        return resource
      }),
    ),
  ]
}

/** Returns a copy that is plain JSON, so that every store gives back what went in. */
function checkMetadata(metadata: unknown): Record<string, unknown> {
  demandObject('metadata', metadata)
  const json = jsonOf(metadata)
  const copy: unknown = json === undefined ? undefined : JSON.parse(json)
  demandObject('metadata', copy)
  const size = Buffer.byteLength(json ?? '')
  if (size > MOST_METADATA_BYTES)
    throw new MisuseError(
      'metadata',
      `is ${String(size)} bytes of JSON, at most ${String(MOST_METADATA_BYTES)} are kept; store the rest yourself, under the family id`,
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
