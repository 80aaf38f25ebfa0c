import { type Confirmation, ConfigurationError, type RefreshTokens, type Reservation } from '@baton/core'
import {
  boolean,
  declareOptions,
  instant,
  listOf,
  matching,
  nullable,
  optional,
  type OptionsOf,
  plainObject,
  required,
  rule,
  scopeText,
  seconds,
  secretRing,
  text,
  withDefault,
} from '@baton/core/options'
import { issuerUrl } from '../clients/issuer-url.js'
import { CODE_CHALLENGE } from './pkce.js'
import { createSealer } from '../crypto/sealer.js'

export const codesOptions = declareOptions({
  /** This server, `https://login.example`: every other issuer rejects the code, even one with the same secrets. */
  issuer: required(issuerUrl()),
  /** `[current, ...older]`, at least 32 bytes each, used for codes only: the secrets are enough to create codes. */
  secrets: required(secretRing()),
  /** How long a code is valid, in seconds: 1 to 600, default 60. */
  lifetimeSeconds: withDefault(seconds({ min: 1, max: 600 }), 60),
})

export type AuthorizationCodesOptions = OptionsOf<typeof codesOptions>

const DPOP_KEY = /^[A-Za-z0-9_-]{43}$/

const dpopConfirmation = rule<Confirmation>(
  '{ jkt } with the 43 characters of dpop_jkt',
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    'jkt' in value &&
    typeof value.jkt === 'string' &&
    DPOP_KEY.test(value.jkt),
  'a code cannot be bound to a certificate',
)

/** What a user has granted to a client, after your page has authenticated the user and asked for consent. */
const codeRequest = declareOptions({
  /** Your user's id. */
  subject: required(text()),
  /** The client that may exchange the code. */
  clientId: required(text()),
  /**
   * The `redirect_uri` of the authorization request, which you have compared with the registered ones; null if the request had none.
   * The token request must contain the same value.
   */
  redirectUri: required(nullable(text({ maxBytes: 2048, fix: 'use null if the authorization request had none' }))),
  /** `code_challenge` with method S256 (RFC 7636). A code without one cannot be issued. */
  codeChallenge: required(
    matching(
      CODE_CHALLENGE,
      'an S256 code_challenge of 43 base64url characters',
      'reject authorization requests without one',
    ),
  ),
  /** Space-separated: the granted scope, which may be less than the requested one. */
  scope: withDefault(scopeText(), ''),
  /** The granted resource servers (RFC 8707). If there are none, the default audience of the access tokens applies. */
  audience: withDefault(listOf(text(), { max: 64 }), []),
  /** True gives the session the offline limits of the policy. Default: whether `scope` contains `offline_access`. */
  offline: optional(boolean()),
  /** `{ jkt }` of the request's `dpop_jkt` (RFC 9449 section 10): the token request must prove this key. */
  confirmation: withDefault(nullable(dpopConfirmation), null),
  /** Stored with the session, such as `{ userAgent }`. A few hundred bytes, because the code must fit into a URL. */
  metadata: withDefault(plainObject(), {}),
  /** When your page authenticated the user, in epoch milliseconds: `auth_time` of access tokens (RFC 9068 section 2.2.1). */
  authTime: optional(instant()),
  /** The authentication context class: `acr` of access tokens. */
  acr: optional(text()),
  /** The authentication methods, such as `pwd` and `otp` (RFC 8176): `amr` of access tokens. */
  amr: optional(listOf(text(), { min: 1, max: 16 })),
})

export type CodeRequest = OptionsOf<typeof codeRequest>

/** The content of a code. */
export interface AuthorizationCode {
  readonly reservation: Reservation
  readonly redirectUri: string | null
  readonly codeChallenge: string
  readonly confirmation: Confirmation | null
}

/** Issues and opens authorization codes. */
export interface AuthorizationCodes {
  /** The issuer in the codes. */
  readonly issuer: string
  /** Returns the `code` of an authorization response. Only the client may receive it. Throws `ConfigurationError`. */
  issue(request: CodeRequest): string
  /** Returns the content of a code of this issuer, also of an expired one; null for any other text. */
  open(code: string): AuthorizationCode | null
}

/** The length that browsers, proxies and servers accept in a URL. */
const MAX_LENGTH = 4096

/**
 * Creates the authorization codes of your own authorization endpoint
 * ([RFC 6749 section 4.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1)). Pass them as `codes` to the token endpoint, which exchanges
 * them. A code is encrypted and authenticated, and nothing is stored until its exchange creates the session. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { createRefreshTokens } from '@baton/core'
 * import { authorizationCodes } from '@baton/http'
 * import { memoryStore } from '@baton/store-memory'
 *
 * const tokens = createRefreshTokens({ store: memoryStore(), secrets: [process.env['BATON_SECRET']] })
 * const codes = authorizationCodes(tokens, {
 *   issuer: 'https://login.example',
 *   secrets: [process.env['BATON_CODE_SECRET']],
 * })
 * const code = codes.issue({
 *   subject: 'alice',
 *   clientId: 'mobile-app',
 *   redirectUri: 'com.example.app:/callback',
 *   codeChallenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
 * })
 * ```
 */
export function authorizationCodes(tokens: RefreshTokens, options: AuthorizationCodesOptions): AuthorizationCodes {
  const { issuer, secrets, lifetimeSeconds } = codesOptions.parse('authorizationCodes', options)
  const sealer = createSealer({ secrets, purpose: 'authorization code', prefix: 'bac_' })

  return {
    issuer,
    issue(request) {
      const parsed = codeRequest.parse('issue', request)
      const { redirectUri, codeChallenge, confirmation, offline, ...grant } = parsed
      const reservation = tokens.reserve({
        ...grant,
        offline: offline ?? grant.scope.split(' ').includes('offline_access'),
        expiresInSeconds: lifetimeSeconds,
      })
      const content: AuthorizationCode = { reservation, redirectUri, codeChallenge, confirmation }
      const code = sealer.seal(JSON.stringify({ iss: issuer, ...content }))
      if (code.length > MAX_LENGTH)
        throw new ConfigurationError(
          'metadata',
          `must leave a code of at most ${String(MAX_LENGTH)} characters, got ${String(code.length)}; store less in it, or grant fewer scopes and resources`,
        )
      return code
    },
    open(code) {
      const content = code.length > MAX_LENGTH ? null : sealer.open(code)
      if (content === null) return null
      // Only `issue` seals for this purpose, here or at another issuer with the same secrets.
      const { iss, ...opened } = JSON.parse(content) as AuthorizationCode & { readonly iss?: string }
      return iss === issuer ? opened : null
    },
  }
}
