import { ConfigurationError } from '@baton/core'
import { declareOptions, describeValue, matching, plainObject, type Rule, withDefault } from '@baton/core/options'
import type { PlainResponse } from '../messages/message.js'
import { json } from '../messages/responses.js'

type Header = PlainResponse['headers'][number]
type Parameter = readonly [name: string, value: string]

/** The authentication scheme of an access token: without or with a proof of its key. */
export type Scheme = 'Bearer' | 'DPoP'

/** Characters of a quoted string that need no escape. */
const QUOTABLE = /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/
const PARAMETER_NAME = /^[a-z][a-z0-9_-]*$/
/** What the guard itself sets. */
const OWN_PARAMETERS = ['realm', 'error', 'error_description', 'algs', 'acr_values', 'max_age']

type Parameters = Readonly<Record<string, string>>

/** The options of a guard that appear in its challenges. */
export const challengeOptions = declareOptions({
  /** The name of the protected resource in challenges. Default `api`. */
  realm: withDefault(matching(QUOTABLE, 'printable ASCII without " and \\'), 'api'),
  /**
   * Parameters that are added to every challenge, such as `{ resource_metadata: 'https://…' }` (RFC 9728 section 5.1). `scope` replaces the
   * scope tokens of the option `scope` in challenges. Default: none.
   */
  challengeParameters: withDefault(challengeParameters(), {}),
})

function challengeParameters(): Rule<Parameters> {
  const expected = 'an object of parameter names and quotable values'
  return {
    expected,
    parse(value, option) {
      const entries = Object.entries(plainObject().parse(value, option))
      return Object.fromEntries(entries.map(([name, text]) => [name, parseParameter(name, text, option)]))
    },
  }
}

function parseParameter(name: string, value: unknown, option: string): string {
  if (OWN_PARAMETERS.includes(name) || !PARAMETER_NAME.test(name))
    throw new ConfigurationError(
      `${option}.${name}`,
      `must have another name; a name has lower-case letters, digits, "_" and "-", and the guard sets ${OWN_PARAMETERS.join(', ')}`,
    )
  if (typeof value === 'string' && QUOTABLE.test(value)) return value
  throw new ConfigurationError(
    `${option}.${name}`,
    `must be printable ASCII without " and \\, got ${describeValue(value)}`,
  )
}

interface ChallengeOptions {
  readonly realm: string
  /** Added to every challenge. */
  readonly parameters: Parameters
  /** The required scope tokens. */
  readonly scope: readonly string[]
  /** The accepted signature algorithms of DPoP proofs. */
  readonly algorithms: readonly string[]
  /** True if the response to a request without credentials offers DPoP. */
  readonly offersDpop: boolean
  /** The parameters of the challenge for a user who was not authenticated as required. */
  readonly stepUp: readonly Parameter[]
}

interface Rejection {
  readonly ok: false
  readonly response: PlainResponse
}

/** The rejections of a guard, each with the challenge of its scheme. Their text contains nothing of the request. */
export interface Rejections {
  /** A request without credentials gets a challenge of each offered scheme, without an error (RFC 6750 section 3.1). */
  unauthorized(description: string): Rejection
  ambiguous(description: string): Rejection
  insufficientScope(scheme: Scheme): Rejection
  /** The user must authenticate again, or in another way (RFC 9470 section 3). */
  insufficientAuthentication(scheme: Scheme): Rejection
  /** `headers` contain the nonce for the next proof. */
  invalidToken(scheme: Scheme, error: TokenError, headers?: readonly Header[]): Rejection
}

interface TokenError {
  readonly error: 'invalid_token' | 'invalid_dpop_proof' | 'use_dpop_nonce'
  /** A constant sentence. */
  readonly description: string
}

export const TOKEN_ERRORS = {
  invalid: { error: 'invalid_token', description: 'The access token is expired, revoked or not valid.' },
  notBound: { error: 'invalid_token', description: 'The access token is bound to no key; send it as Bearer.' },
  bound: { error: 'invalid_token', description: 'The access token is bound to a key; send it as DPoP.' },
  proofMissing: { error: 'invalid_dpop_proof', description: 'The DPoP header is missing.' },
  certificateMissing: {
    error: 'invalid_token',
    description: 'The access token is bound to a client certificate that the request does not have.',
  },
} as const satisfies Readonly<Record<string, TokenError>>

/** Creates the rejections of a guard. `realm`, `scope` and all parameters must fit into a quoted string. */
export function createRejections(options: ChallengeOptions): Rejections {
  const { realm, parameters: added, scope, algorithms, offersDpop, stepUp } = options
  const scopeParameter: readonly Parameter[] =
    scope.length === 0 || 'scope' in added ? [] : [['scope', scope.join(' ')]]
  const challenge = (scheme: Scheme, parameters: readonly Parameter[]) => {
    const algs: readonly Parameter[] = scheme === 'DPoP' ? [['algs', algorithms.join(' ')]] : []
    const all = [['realm', realm] as const, ...Object.entries(added), ...parameters, ...algs]
    return `${scheme} ${all.map(([name, value]) => `${name}="${value}"`).join(', ')}`
  }
  const offeredSchemes: readonly Scheme[] = offersDpop ? ['Bearer', 'DPoP'] : ['Bearer']
  const rejection = (
    status: number,
    [error, description]: readonly [string, string],
    challenges: string,
    headers: readonly Header[] = [],
  ): Rejection => ({
    ok: false,
    response: json(status, { error, error_description: description }, [['www-authenticate', challenges], ...headers]),
  })
  const errorParameters = (error: string, description: string): readonly Parameter[] => [
    ['error', error],
    ['error_description', description],
  ]
  return {
    unauthorized: (description) =>
      rejection(
        401,
        ['unauthorized', description],
        // One header with all challenges, as some runtimes join repeated headers.
        offeredSchemes.map((scheme) => challenge(scheme, scopeParameter)).join(', '),
      ),
    ambiguous(description) {
      const error = ['invalid_request', description] as const
      return rejection(400, error, challenge('Bearer', errorParameters(...error)))
    },
    insufficientScope(scheme) {
      const error = ['insufficient_scope', 'The access token does not cover this.'] as const
      return rejection(403, error, challenge(scheme, [...errorParameters(...error), ...scopeParameter]))
    },
    insufficientAuthentication(scheme) {
      const error = ['insufficient_user_authentication', 'The user must authenticate again, as required here.'] as const
      return rejection(401, error, challenge(scheme, [...errorParameters(...error), ...stepUp]))
    },
    invalidToken: (scheme, { error, description }, headers) =>
      rejection(401, [error, description], challenge(scheme, errorParameters(error, description)), headers),
  }
}
