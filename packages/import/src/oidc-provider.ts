import type { LegacyTokenSource } from '@baton/core'
import { declareOptions, func, type OptionsOf, required, rule, withDefault } from '@baton/core/options'
import { type GrantFields, grantOf, identifierOf, importOptions } from './grants.js'

/** What is needed of an adapter of oidc-provider, whatever database it is for. */
export interface OidcAdapter {
  find(id: string): Promise<unknown>
  findByUid(uid: string): Promise<unknown>
  destroy(id: string): Promise<unknown>
}

/** As the `adapter` of oidc-provider's configuration: a class, or a function that gives the adapter of one model. */
export type OidcAdapterSource = (new (name: string) => OidcAdapter) | ((name: string) => OidcAdapter)

const oidcProviderTokensOptions = declareOptions({
  until: importOptions.fields.until,
  /** The adapter that oidc-provider was configured with. */
  adapter: required(
    rule<OidcAdapterSource>('the adapter of the configuration of oidc-provider: a class or a function', isFunction),
  ),
  /** Converts the id of an account to the subject of your app. Default: the id. */
  subject: withDefault(func<(accountId: string) => string>(), (accountId) => accountId),
  /** Epoch milliseconds. Default: `Date.now`. */
  now: withDefault(func<() => number>(), Date.now),
})

export type OidcProviderTokensOptions = OptionsOf<typeof oidcProviderTokensOptions>

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
 * Accepts the refresh tokens of an oidc-provider through its adapter: those that are neither consumed nor destroyed, whose grant exists,
 * and whose session exists if they expire with it. Throws `ConfigurationError` for unknown, missing or invalid options.
 *
 * @example
 * ```ts
 * import { oidcProviderTokens, type OidcAdapterSource } from '@baton/import'
 *
 * declare const adapter: OidcAdapterSource // the adapter in the configuration of oidc-provider
 * const legacyTokens = oidcProviderTokens({ adapter })
 * ```
 */
export function oidcProviderTokens(options: OidcProviderTokensOptions): LegacyTokenSource {
  const parsed = oidcProviderTokensOptions.parse('oidcProviderTokens', options)
  const { adapter, subject, now } = parsed
  const adapterOf = (name: string) => (isConstructor(adapter) ? new adapter(name) : adapter(name))
  const [tokens, grants, sessions] = [adapterOf('RefreshToken'), adapterOf('Grant'), adapterOf('Session')]

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
    normalize: identifierOf({ matches: /^[A-Za-z0-9_-]{20,512}$/ }),
    async lookup(token) {
      const found: unknown = await tokens.find(token)
      if (!isObject(found)) return null
      const payload: RefreshTokenPayload = found
      if (payload.kind !== 'RefreshToken' || payload.jti !== token || Boolean(payload.consumed)) return null
      if (!(await isGranted(payload)) || !(await isSignedIn(payload))) return null
      return grantOf(fieldsOf(payload, subject), parsed)
    },
    // Not `consume`: oidc-provider revokes the whole grant if a consumed token is presented again, and with it tokens that are not exchanged yet.
    onMigrated: (token) => tokens.destroy(token),
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

function isFunction(value: unknown): boolean {
  return typeof value === 'function'
}

/** Tells a class from a function as oidc-provider does. */
function isConstructor(source: OidcAdapterSource): source is new (name: string) => OidcAdapter {
  return typeof source.prototype === 'object' && source.prototype !== null
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
