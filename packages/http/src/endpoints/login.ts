import {
  ConfigurationError,
  type Confirmation,
  FIRST_PARTY,
  type Issued,
  OperationalError,
  type RefreshTokens,
} from '@baton/core'
import {
  declareOptions,
  func,
  nested,
  optional,
  type OptionsOf,
  required,
  text,
  withDefault,
} from '@baton/core/options'
import type { MintedAccessToken } from '../access-tokens/access-token.js'
import { createAccessTokenIssuer } from '../access-tokens/issuer.js'
import { type RefreshTokenCookie, createRefreshTokenCookie, cookieOption } from '../cookies/refresh-token-cookie.js'
import { clientOptions } from '../clients/authenticate.js'
import { loginAdmission } from '../clients/login-client.js'
import { rejectForeignOrigin } from '../pipeline/csrf.js'
import { proofChecker } from '../proof-of-possession/dpop/proof-checker.js'
import { withProof } from '../proof-of-possession/dpop/with-proof.js'
import { defineEndpoint, type Exchange } from '../pipeline/define-endpoint.js'
import { readJson } from '../messages/json.js'
import { type Endpoint, type PlainRequest, type PlainResponse, soleHeader } from '../messages/message.js'
import { endpointOptions } from '../pipeline/options.js'
import { error, json, tooManyRequests } from '../messages/responses.js'
import { tokenResponse } from '../grants/token-response.js'
import { dpopField, issuedAccessTokens, scopeText } from './shared-options.js'

/** The user who signed in, and the grant of the session. */
export interface SignIn {
  /** The id of the user in your app. */
  readonly subject: string
  /** Default: that of `defaults`, otherwise `first-party`. A session in the cookie always belongs to the cookie's client. */
  readonly clientId?: string
  /** The granted scope, space-separated. Default: that of `defaults`, otherwise none. */
  readonly scope?: string
  /** Resource servers (RFC 8707). Default: the `audience` of the access tokens. */
  readonly audience?: readonly string[]
  /** True gives the session the offline limits of the policy. Default: true if `scope` contains `offline_access`. */
  readonly offline?: boolean
  /**
   * `{ jkt }` or `{ 'x5t#S256' }` of a key that the caller has *proven*. Every refresh must prove this key. Default: the key of the DPoP
   * proof in the request. Null binds the session to no key, even if the request has a proof.
   */
  readonly confirmation?: Confirmation | null
  /** Stored with the session and returned in session lists. Default: `{ userAgent }` of the request. */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** When the user was authenticated, in epoch milliseconds: `auth_time` of access tokens (RFC 9068 section 2.2.1). Default: unknown. */
  readonly authTime?: number
  /** The authentication context class, for guards with `acrValues` (RFC 9470): `acr` of access tokens. */
  readonly acr?: string
  /** The authentication methods, such as `pwd` and `otp` (RFC 8176): `amr` of access tokens. */
  readonly amr?: readonly string[]
  /** Additional claims of the first access token. `beforeRotate` returns those of later ones. */
  readonly claims?: Readonly<Record<string, unknown>>
  /** Where the refresh token is sent: in the cookie, which scripts cannot read, or in the body. Default: `cookie` if that option is set. */
  readonly deliver?: 'cookie' | 'body'
}

const loginDefaults = declareOptions({
  /** The client of the login. Default `first-party`. */
  clientId: optional(text()),
  /** The scope of the login, space-separated. Default: none. */
  scope: optional(scopeText()),
})

export const loginOptions = endpointOptions.extend({
  ...clientOptions.fields,
  /**
   * Registered clients, as at the token endpoint. A client with credentials then gets tokens only if the request has them too, as HTTP
   * Basic or as members of the JSON body; a client whose tokens are bound to a key only with a proof of a key.
   */
  clients: optional(clientOptions.fields.clients.rule),
  accessTokens: issuedAccessTokens,
  /**
   * Checks the members of the JSON body. Null means a wrong name or password: return it as late as a success, or an attacker can tell
   * which names exist. Throw `LoginRequestError` for a request that is malformed. Any other error is an outage: 503.
   */
  authenticate:
    required(func<(input: Readonly<Record<string, unknown>>, request: PlainRequest) => Promise<SignIn | null>>()),
  /**
   * Returns the account that a login is for, such as `(input) => input.username`: failed logins are then limited per account and
   * address. Default: per address, so that a few wrong passwords delay all users who share the address.
   */
  accountName: optional(func<(input: Readonly<Record<string, unknown>>) => unknown>()),
  /** As at the refresh endpoint. */
  cookie: optional(cookieOption()),
  /** As at the refresh endpoint. */
  dpop: dpopField,
  /** The client and the scope of logins for which `authenticate` returns none. */
  defaults: withDefault(nested(loginDefaults), { clientId: undefined, scope: undefined }),
})

export type LoginOptions = OptionsOf<typeof loginOptions>

type Authenticate = LoginOptions['authenticate']

/**
 * Throw it in `authenticate` for an invalid request. The message is sent to the caller, so it must not repeat values of the request.
 *
 * @example
 * ```ts
 * import { LoginRequestError } from '@baton/http'
 *
 * async function authenticate({ username, password }: Readonly<Record<string, unknown>>) {
 *   if (typeof username !== 'string' || typeof password !== 'string')
 *     throw new LoginRequestError('username and password must be strings')
 *   const user = await users.check(username, password)
 *   return user === null ? null : { subject: user.id }
 * }
 * ```
 */
export class LoginRequestError extends Error {
  override readonly name = 'LoginRequestError'
  /** The `error` of the response: `invalid_scope` for a scope, `invalid_target` for a resource that cannot be granted. */
  readonly code: 'invalid_request' | 'invalid_scope' | 'invalid_target'

  constructor(message: string, code: LoginRequestError['code'] = 'invalid_request') {
    super(message)
    this.code = code
  }
}

const MAX_USER_AGENT_LENGTH = 512

/**
 * Starts a session after your own check of a JSON request, and returns a token response
 * ([RFC 6749 section 5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1)). All checks run before the session is created. A session
 * that the cookie contained before is revoked after the new one has been created. Throws `ConfigurationError` for invalid options.
 *
 * @example
 * ```ts
 * import { loginEndpoint } from '@baton/http'
 *
 * const login = loginEndpoint(tokens, {
 *   accessTokens,
 *   cookie: true,
 *   accountName: ({ username }) => username,
 *   authenticate: async ({ username, password }) => {
 *     const user = await users.check(String(username), String(password))
 *     return user === null ? null : { subject: user.id }
 *   },
 * })
 * ```
 */
export function loginEndpoint(tokens: RefreshTokens, options: LoginOptions): Endpoint {
  const resolved = loginOptions.parse('loginEndpoint', options)
  const { authenticate, accountName = () => null, defaults } = resolved
  const accessTokenIssuer = createAccessTokenIssuer(resolved.accessTokens, tokens.policy)
  const proofs = proofChecker(resolved.dpop)
  const refreshTokenCookie = resolved.cookie === undefined ? null : createRefreshTokenCookie(resolved.cookie)
  const admit = loginAdmission(tokens, resolved, [defaults.clientId, refreshTokenCookie?.clientId])

  function nameIn(input: Readonly<Record<string, unknown>>): string | null {
    try {
      const name = accountName(input)
      return typeof name === 'string' ? name : null
    } catch (cause) {
      throw new OperationalError('hook_failed', 'accountName threw', { cause })
    }
  }

  async function mint({ family }: Issued, { claims = {} }: SignIn): Promise<MintedAccessToken> {
    const { scope, audience, createdAt: now } = family
    try {
      return await accessTokenIssuer.mint(
        { family, scope, audience, claims },
        { confirmation: family.confirmation, now },
      )
    } catch (cause) {
      throw cause instanceof ConfigurationError
        ? cause
        : new OperationalError('hook_failed', 'accessTokens threw', { cause })
    }
  }

  async function issueTokens({ exchange, credentials }: SignInRequest, signIn: SignIn, delivery: Delivery) {
    const { clientId = signIn.clientId ?? defaults.clientId ?? FIRST_PARTY } = delivery
    const confirmation = signIn.confirmation ?? null
    // A cookie is refreshed without client authentication. A client that must authenticate therefore gets no cookie.
    const admission = await admit(exchange, {
      clientId,
      confirmation,
      credentials: delivery.isCookie ? null : credentials,
    })
    if (!admission.ok) return admission.response
    const request = requestOf(exchange, signIn, defaults)
    const issued = await issue(tokens, { ...request, clientId, confirmation: admission.confirmation })
    if ('code' in issued) return error(issued.code, { description: issued.description })
    const { family, refreshToken } = issued
    try {
      const minted = await mint(issued, signIn)
      await delivery.revokeReplaced()
      const response = { minted, scope: family.scope, confirmation: family.confirmation }
      return tokenResponse({ ...response, ...delivery.deliver(issued, refreshToken) })
    } catch (failure) {
      // No client has received the token. Without this, an unknown session would appear in the user's session list.
      await tokens.revoke({ familyId: family.id, reason: 'logout' }).catch(() => undefined)
      throw failure
    }
  }

  async function startSession(attempt: SignInRequest, signIn: SignIn): Promise<PlainResponse> {
    const { request, transport } = attempt.exchange
    const { deliver = refreshTokenCookie === null ? 'body' : 'cookie' } = signIn
    if (deliver === 'body') return issueTokens(attempt, signIn, IN_BODY)
    if (refreshTokenCookie === null)
      throw new ConfigurationError('cookie', "must be set if authenticate returns deliver: 'cookie'")
    // A page of another origin could otherwise sign its visitor in as another user (login CSRF).
    const foreign = rejectForeignOrigin(request, { transport, allowedOrigins: refreshTokenCookie.allowedOrigins })
    if (foreign !== null) return foreign
    return issueTokens(attempt, signIn, inCookie(tokens, refreshTokenCookie, attempt))
  }

  return defineEndpoint({
    tokens,
    options: resolved,
    methods: ['POST'],
    async respond(exchange) {
      const { request, transport, limits, counted } = exchange
      const body = await readJson(request)
      if (!body.ok) return body.response
      const input = Object.fromEntries(body.members)
      const account = nameIn(input)
      return withProof({ proofs, oneTimeKeys: tokens, exchange }, async (confirmation) => {
        const attempt = await limits.authenticateUser({ account, address: transport.address }, () =>
          runAuthenticate(authenticate, input, request),
        )
        const verdict = attempt.exhausted === null ? attempt.result : null
        if (verdict instanceof LoginRequestError) return error(verdict.code, { description: verdict.message })
        // A failure is counted for its account. If it also cost the address a point, one user could lock out the others at that address.
        if (verdict !== null || account !== null) counted.release()
        if (attempt.exhausted !== null) return tooManyRequests(attempt.exhausted)
        if (verdict === null) return invalidCredentials()
        const exhausted = await limits.countSignIn(verdict.subject)
        if (exhausted !== null) return tooManyRequests(exhausted)
        const { confirmation: key = confirmation } = verdict
        const signInRequest = { exchange, confirmation: key ?? confirmation, credentials: body.members }
        return startSession(signInRequest, { ...verdict, confirmation: key })
      })
    },
  })
}

interface SignInRequest {
  readonly exchange: Exchange
  /** The key that the request proved; null for none. */
  readonly confirmation: Confirmation | null
  /** The members of the body, which may hold credentials of the client. */
  readonly credentials: ReadonlyMap<string, unknown>
}

/** How the refresh token is returned: in the body or in the cookie. */
interface Delivery {
  readonly isCookie: boolean
  /** The client of the session, if the delivery determines it. */
  readonly clientId?: string
  /** Revokes the sessions that the new session replaces. */
  revokeReplaced(): Promise<void>
  deliver(
    issued: Issued,
    refreshToken: string,
  ): Pick<Parameters<typeof tokenResponse>[0], 'refreshToken' | 'sid' | 'headers'>
}

const IN_BODY: Delivery = {
  isCookie: false,
  revokeReplaced: async () => undefined,
  deliver: (_issued, refreshToken) => ({ refreshToken }),
}

function inCookie(
  tokens: RefreshTokens,
  refreshTokenCookie: RefreshTokenCookie,
  { exchange, confirmation }: SignInRequest,
): Delivery {
  const { request, transport } = exchange
  const { clientId } = refreshTokenCookie
  return {
    isCookie: true,
    clientId,
    async revokeReplaced() {
      // Otherwise a refresh of the old session that is in progress would restore the old cookie. A token of another client, or of a key
      // that this request did not prove, remains active, because any client can send a Cookie header.
      for (const token of refreshTokenCookie.read(request, transport))
        await tokens.revoke({ ...token, clientId, confirmation, reason: 'replaced' })
    },
    deliver: ({ family }, refreshToken) => ({
      sid: family.id,
      // From the creation of the session, because `authenticate` may take long.
      headers: refreshTokenCookie.set(refreshToken, family, { transport, now: family.createdAt }),
    }),
  }
}

async function runAuthenticate(
  authenticate: Authenticate,
  input: Readonly<Record<string, unknown>>,
  request: PlainRequest,
): Promise<SignIn | LoginRequestError | null> {
  try {
    return await authenticate(input, request)
  } catch (cause) {
    if (cause instanceof LoginRequestError) return cause
    throw new OperationalError('hook_failed', 'authenticate threw', { cause })
  }
}

type IssueRequest = Parameters<RefreshTokens['issue']>[0]

function requestOf(
  { request }: Exchange,
  signIn: SignIn,
  defaults: { readonly scope: string | undefined },
): IssueRequest {
  const { scope = defaults.scope ?? '', audience, authTime, acr, amr } = signIn
  const { offline = scope.split(' ').includes('offline_access') } = signIn
  const userAgent = soleHeader(request, 'user-agent')?.slice(0, MAX_USER_AGENT_LENGTH)
  const { metadata = userAgent === undefined ? {} : { userAgent } } = signIn
  return {
    subject: signIn.subject,
    scope,
    offline,
    metadata,
    authTime,
    acr,
    amr,
    ...(audience === undefined ? {} : { audience }),
  }
}

interface Rejection {
  readonly code: 'invalid_scope' | 'invalid_target'
  readonly description: string
}

/** Options that `authenticate` may copy from the request. An invalid value is an error of the caller, not of the app. */
const REJECTIONS: ReadonlyMap<string, Rejection> = new Map([
  ['scope', { code: 'invalid_scope', description: 'The scope is malformed.' }],
  ['audience', { code: 'invalid_target', description: 'The resource is malformed.' }],
])

async function issue(tokens: RefreshTokens, request: IssueRequest): Promise<Issued | Rejection> {
  try {
    return await tokens.issue(request)
  } catch (failure) {
    const rejection = failure instanceof ConfigurationError ? REJECTIONS.get(failure.option) : undefined
    if (rejection !== undefined) return rejection
    throw failure
  }
}

/** Not `invalid_grant`, because no token was presented. Not a Basic challenge, because browsers would then ask for a password. */
function invalidCredentials(): PlainResponse {
  const body = { error: 'invalid_credentials', error_description: 'The name or the password is wrong.' }
  return json(401, body, [['www-authenticate', 'Bearer']])
}
