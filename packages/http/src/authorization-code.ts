import { type Confirmation, ConfigurationError, type RefreshTokens, type Reservation } from '@baton/core'
import { demandKnown } from './endpoint.js'
import { demandIssuer } from './issuer.js'
import { isChallenge } from './pkce.js'
import { sealing, type Secrets } from './sealing.js'

export interface AuthorizationCodesOptions {
  /** This server, `https://login.example`: a code is rejected by every other issuer, even by one that has the same secrets. */
  readonly issuer: string
  /** `[current, ...older]`, at least 32 bytes each, for codes alone: whoever has them can make codes. */
  readonly secrets: Secrets
  /** 1 to 600, default 60: a browser needs a moment to carry a code to its client, and no longer. */
  readonly lifetimeSeconds?: number
}

/** What a person has granted to a client, once your page has found out who it is and asked. */
export interface CodeRequest {
  /** Your user's id. */
  readonly subject: string
  readonly clientId: string
  /**
   * As the authorization request named it, and you have checked it against what is registered; null where the request named none.
   * The exchange has to name the same.
   */
  readonly redirectUri: string | null
  /** `code_challenge`, by S256 (RFC 7636). There is no code without one. */
  readonly codeChallenge: string
  /** Space-separated: what was granted, which may be less than was asked for. */
  readonly scope?: string
  /** Resource servers that were granted (RFC 8707). */
  readonly audience?: readonly string[]
  /** Default: whether `scope` holds `offline_access`. */
  readonly offline?: boolean
  /** `{ jkt }` of the request's `dpop_jkt` (RFC 9449 section 10): only a proof by that key redeems the code. */
  readonly confirmation?: Confirmation | null
  /** Kept with the session, such as `{ userAgent }`; a few hundred bytes, since the code has to fit into a URL. */
  readonly metadata?: Readonly<Record<string, unknown>>
}

/** What a code holds. */
export interface AuthorizationCode {
  readonly reservation: Reservation
  readonly redirectUri: string | null
  readonly codeChallenge: string
  readonly confirmation: Confirmation | null
}

/** Authorization codes that no table has to hold. */
export interface AuthorizationCodes {
  /** The issuer of the codes. */
  readonly issuer: string
  /** Makes the `code` of an answer to an authorization request. A secret of its client's. Throws `ConfigurationError`. */
  issue(request: CodeRequest): string
  /** Returns what is in a code of this issuer, expired or not; null for anything else. */
  open(code: string): AuthorizationCode | null
}

const KNOWN = ['issuer', 'secrets', 'lifetimeSeconds']
/** What browsers, proxies and servers carry in a URL without a thought. */
const MOST_LENGTH = 4096

/**
 * Codes for your own authorize page; give them to `refreshEndpoint` as `codes`, which exchanges them. A code is sealed: it can
 * neither be read nor changed on its way. That it works once is kept by the family that it begins. Throws `ConfigurationError`.
 */
export function authorizationCodes(tokens: RefreshTokens, options: AuthorizationCodesOptions): AuthorizationCodes {
  demandKnown(options, KNOWN)
  const { issuer, secrets, lifetimeSeconds = 60 } = options
  if (!Number.isInteger(lifetimeSeconds) || lifetimeSeconds < 1 || lifetimeSeconds > 600)
    throw new ConfigurationError(
      'lifetimeSeconds',
      `${String(lifetimeSeconds)} is not a whole number of seconds from 1 to 600`,
    )
  const sealed = sealing({ option: 'secrets', secrets, purpose: 'authorization code', prefix: 'bac_' })
  demandIssuer(issuer)

  return {
    issuer,
    issue(request) {
      const { redirectUri, codeChallenge, confirmation = null, scope = '', ...grant } = request
      const { offline = scope.split(' ').includes('offline_access') } = grant
      if (!isChallenge(codeChallenge))
        throw new ConfigurationError(
          'codeChallenge',
          'is not a challenge by S256, 43 characters of base64url; refuse authorization requests without one',
        )
      if (redirectUri !== null && (typeof redirectUri !== 'string' || redirectUri === ''))
        throw new ConfigurationError(
          'redirectUri',
          'is not a string; give null where the authorization request named none',
        )
      if (confirmation !== null && !isDpopKey(confirmation))
        throw new ConfigurationError('confirmation', 'must be { jkt } with the 43 characters of dpop_jkt, or null')
      const reservation = tokens.reserve({ ...grant, scope, offline, expiresInSeconds: lifetimeSeconds })
      const code: AuthorizationCode = { reservation, redirectUri, codeChallenge, confirmation }
      const text = sealed.seal(JSON.stringify({ iss: issuer, ...code }))
      if (text.length > MOST_LENGTH)
        throw new ConfigurationError(
          'metadata',
          `and the rest make a code of ${String(text.length)} characters, and at most ${String(MOST_LENGTH)} fit into a URL; grant fewer names, or keep less`,
        )
      return text
    },
    open(code) {
      const content = code.length > MOST_LENGTH ? null : sealed.open(code)
      if (content === null) return null
      // Only `issue` seals codes under these secrets, here or at another issuer that shares them.
      const { iss, ...sealedCode } = JSON.parse(content) as AuthorizationCode & { readonly iss?: string }
      return iss === issuer ? sealedCode : null
    },
  }
}

function isDpopKey(confirmation: Confirmation): boolean {
  return 'jkt' in confirmation && /^[A-Za-z0-9_-]{43}$/.test(confirmation.jkt)
}
