import type { ForeignTokens } from '@baton/core'
import { type GrantFields, grantOf, identifierOf, type ImportOptions } from './grants.js'

/** What is needed of an adapter of oidc-provider, whatever database it is for. */
export interface OidcAdapter {
  find(id: string): Promise<unknown>
  findByUid(uid: string): Promise<unknown>
  destroy(id: string): Promise<unknown>
}

/** As the `adapter` of oidc-provider's configuration: a class, or a function that gives the adapter of one model. */
export type OidcAdapterSource = (new (name: string) => OidcAdapter) | ((name: string) => OidcAdapter)

export interface OidcProviderTokensOptions extends Omit<ImportOptions, 'matches'> {
  /** The adapter that oidc-provider was configured with. */
  readonly adapter: OidcAdapterSource
  /** Makes of an account's id the subject of your app. Default: the same. */
  readonly subject?: (accountId: string) => string
  /** Epoch milliseconds. Default `Date.now`. */
  readonly now?: () => number
}

/** As oidc-provider stores a refresh token. Its instants are seconds. */
interface RefreshTokenPayload {
  readonly kind?: unknown
  readonly jti?: unknown
  readonly accountId?: unknown
  readonly clientId?: unknown
  readonly grantId?: unknown
  readonly scope?: unknown
  readonly resource?: unknown
  readonly consumed?: unknown
  readonly exp?: number
  readonly iat?: number
  readonly iiat?: number
  readonly jkt?: unknown
  readonly 'x5t#S256'?: unknown
  readonly sessionUid?: unknown
  readonly expiresWithSession?: unknown
}

/**
 * Accepts the refresh tokens of an oidc-provider through its own adapter: those that are neither consumed nor destroyed, whose grant
 * stands, and whose session does where they were to end with it.
 */
export function oidcProviderTokens(options: OidcProviderTokensOptions): ForeignTokens {
  const adapterOf = modelsOf(options.adapter)
  const [tokens, grants, sessions] = [adapterOf('RefreshToken'), adapterOf('Grant'), adapterOf('Session')]
  const { subject = (accountId: string) => accountId, now = Date.now } = options

  async function isGranted({ grantId, clientId, accountId }: RefreshTokenPayload): Promise<boolean> {
    const grant = typeof grantId === 'string' ? await grants.find(grantId) : undefined
    if (!isObject(grant) || grant['clientId'] !== clientId || grant['accountId'] !== accountId) return false
    const { exp } = grant
    return typeof exp !== 'number' || now() < exp * 1000
  }

  async function isSignedIn(payload: RefreshTokenPayload): Promise<boolean> {
    const { expiresWithSession, sessionUid, grantId, clientId, accountId } = payload
    if (expiresWithSession !== true) return true
    const session = typeof sessionUid === 'string' ? await sessions.findByUid(sessionUid) : undefined
    if (!isObject(session) || session['accountId'] !== accountId || typeof clientId !== 'string') return false
    const { exp, authorizations } = session
    const authorization = isObject(authorizations) ? authorizations[clientId] : undefined
    const isAlive = typeof exp !== 'number' || now() < exp * 1000
    return isAlive && isObject(authorization) && authorization['grantId'] === grantId
  }

  return {
    identify: identifierOf({ matches: /^[A-Za-z0-9_-]{20,512}$/ }),
    async find(token) {
      const found: unknown = await tokens.find(token)
      if (!isObject(found)) return null
      const payload: RefreshTokenPayload = found
      if (payload.kind !== 'RefreshToken' || payload.jti !== token || Boolean(payload.consumed)) return null
      if (!(await isGranted(payload)) || !(await isSignedIn(payload))) return null
      return grantOf(fieldsOf(payload, subject), options)
    },
    // Not `consume`: a consumed token that comes again ends the whole grant there, and with it what has not moved yet.
    moved: (token) => tokens.destroy(token),
  }
}

function fieldsOf(payload: RefreshTokenPayload, subject: (accountId: string) => string): GrantFields {
  const { accountId, clientId, scope, resource, exp, iat, iiat, jkt, 'x5t#S256': x5t } = payload
  if (typeof accountId !== 'string' || typeof clientId !== 'string')
    throw new TypeError('oidcProviderTokens: the token has no accountId or clientId')
  const scopes = typeof scope === 'string' ? scope : ''
  return {
    subject: subject(accountId),
    clientId,
    scope: scopes,
    audience: [resource].flat().filter((each) => typeof each === 'string'),
    offline: scopes.split(' ').includes('offline_access'),
    confirmation: typeof jkt === 'string' ? { jkt } : typeof x5t === 'string' ? { 'x5t#S256': x5t } : null,
    createdAt: iiat ?? iat ?? null,
    expiresAt: exp ?? null,
  }
}

function modelsOf(source: OidcAdapterSource): (name: string) => OidcAdapter {
  if (typeof source !== 'function')
    throw new TypeError(
      "oidcProviderTokens: adapter is neither a class nor a function; give what oidc-provider's configuration has",
    )
  return (name) => (isConstructor(source) ? new source(name) : source(name))
}

/** Told as oidc-provider tells it. */
function isConstructor(source: OidcAdapterSource): source is new (name: string) => OidcAdapter {
  return typeof source.prototype === 'object' && source.prototype !== null
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
