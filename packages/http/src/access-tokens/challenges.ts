import type { PlainResponse } from '../messages/message.js'
import { json } from '../messages/responses.js'

type Header = PlainResponse['headers'][number]
type Parameter = readonly [name: string, value: string]

/** The authentication scheme of an access token: without or with a proof of its key. */
export type Scheme = 'Bearer' | 'DPoP'

interface ChallengeOptions {
  readonly realm: string
  /** The required scope tokens. */
  readonly scope: readonly string[]
  /** The accepted signature algorithms of DPoP proofs. */
  readonly algorithms: readonly string[]
}

interface Rejection {
  readonly ok: false
  readonly response: PlainResponse
}

/** The rejections of a guard, each with the challenge of its scheme. Their text contains nothing of the request. */
export interface Rejections {
  /** A request without credentials gets challenges without an error (RFC 6750 section 3.1). */
  unauthorized(description: string): Rejection
  ambiguous(description: string): Rejection
  insufficientScope(scheme: Scheme): Rejection
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

/** Creates the rejections of a guard. `realm` and `scope` must fit into a quoted string. */
export function createRejections({ realm, scope, algorithms }: ChallengeOptions): Rejections {
  const scopeParameter: readonly Parameter[] = scope.length === 0 ? [] : [['scope', scope.join(' ')]]
  const challenge = (scheme: Scheme, parameters: readonly Parameter[]) => {
    const algs: readonly Parameter[] = scheme === 'DPoP' ? [['algs', algorithms.join(' ')]] : []
    const all = [['realm', realm] as const, ...parameters, ...algs]
    return `${scheme} ${all.map(([name, value]) => `${name}="${value}"`).join(', ')}`
  }
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
        // One header with two challenges, as some runtimes join repeated headers.
        `${challenge('Bearer', scopeParameter)}, ${challenge('DPoP', scopeParameter)}`,
      ),
    ambiguous(description) {
      const error = ['invalid_request', description] as const
      return rejection(400, error, challenge('Bearer', errorParameters(...error)))
    },
    insufficientScope(scheme) {
      const error = ['insufficient_scope', 'The access token does not cover this.'] as const
      return rejection(403, error, challenge(scheme, [...errorParameters(...error), ...scopeParameter]))
    },
    invalidToken: (scheme, { error, description }, headers) =>
      rejection(401, [error, description], challenge(scheme, errorParameters(error, description)), headers),
  }
}
