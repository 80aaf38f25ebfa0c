import { type Engine, namesOf } from './engine.js'
import { MisuseError, StoreError } from './errors.js'
import { type Family, type FamilyRecord, toFamily } from './family.js'
import { parseScope } from './scope.js'
import { firstToken, formatToken, freshNonce, verifierOf } from './token.js'

/** The client of an app that is its own only client. */
export const FIRST_PARTY = 'first-party'

const MOST_METADATA_BYTES = 4096
const MOST_NAME_BYTES = 1024

export interface IssueRequest {
  /** Who signed in: your user's id. At most 1024 bytes. */
  readonly subject: string
  /** Default `first-party`. A token works only for the client that it was issued to. */
  readonly clientId?: string
  /** Space-separated (RFC 6749 section 3.3). Never grows afterwards. */
  readonly scope?: string
  /** Resource servers of the grant (RFC 8707). Never grows afterwards. */
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
  const absoluteExpiresAt = now + absoluteMs
  const record: FamilyRecord = {
    ...grant,
    id: token.familyId,
    generation: 0,
    verifier: verifierOf(token, grant),
    nonce: freshNonce(random),
    keyId: ring.current.id,
    rotatedAt: now,
    retryKey: null,
    idleMs,
    expiresAt: idleMs === null ? absoluteExpiresAt : Math.min(now + idleMs, absoluteExpiresAt),
    absoluteExpiresAt,
    keepUntil: now,
    revocation: null,
    createdAt: now,
  }
  const stored = await store.create(record, now)
  if (stored.verifier !== record.verifier)
    throw new StoreError('store_broken', 'store.create returned another family than the one it was given')
  const family = toFamily(stored)
  emit({ type: 'issued', at: now, ...namesOf(stored), offline: stored.offline })
  return { refreshToken: formatToken(token, engine.tokenPrefix, ring.current), family }
}

function checkGrant(request: IssueRequest) {
  const { subject, clientId = FIRST_PARTY, boundKey = null, offline = false } = request
  demandName('subject', subject)
  demandName('clientId', clientId)
  if (boundKey !== null) demandName('boundKey', boundKey)
  const scopes = parseScope(request.scope ?? '')
  if (scopes === null)
    throw new MisuseError('scope', 'breaks the grammar of RFC 6749 section 3.3; separate tokens by single spaces')
  const audience = [...new Set(request.audience ?? [])]
  for (const resource of audience) demandName('audience', resource)
  return {
    subject,
    clientId,
    scope: scopes.join(' '),
    audience,
    boundKey,
    offline,
    metadata: checkMetadata(request.metadata ?? {}),
  }
}

function demandName(option: string, value: unknown): void {
  if (typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= MOST_NAME_BYTES && !value.includes('\0'))
    return
  const got = typeof value === 'string' ? `a string of ${String(Buffer.byteLength(value))} bytes` : typeof value
  throw new MisuseError(
    option,
    `expected a string of 1 to ${String(MOST_NAME_BYTES)} bytes without NUL, got ${got}`,
  )
}

/** Returns a copy that is plain JSON, so that every store gives back what went in. */
function checkMetadata(metadata: unknown): Record<string, unknown> {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata))
    throw new MisuseError('metadata', 'expected a plain object')
  const json = JSON.stringify(metadata)
  if (Buffer.byteLength(json) > MOST_METADATA_BYTES)
    throw new MisuseError(
      'metadata',
      `is ${String(Buffer.byteLength(json))} bytes of JSON, at most ${String(MOST_METADATA_BYTES)} are kept; store the rest yourself, under the family id`,
    )
  return JSON.parse(json) as Record<string, unknown>
}
