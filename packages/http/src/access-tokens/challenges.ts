import type { PlainResponse } from '../message.js'
import { json } from '../respond.js'

type Header = PlainResponse['headers'][number]
type Parameter = readonly [name: string, value: string]

/** How an access token is sent: by itself, or with a proof of its key. */
export type Scheme = 'Bearer' | 'DPoP'

interface Protection {
  readonly realm: string
  readonly demanded: readonly string[]
  /** What proofs may be signed with. */
  readonly algorithms: readonly string[]
}

interface Refusal {
  readonly ok: false
  readonly response: PlainResponse
}

/** The answers of a guard, each with the challenge of its scheme. Nothing of a request gets in here: all values are our own. */
export interface Refusals {
  /** A client that sent no credentials may not know that it needs them: no challenge names an error (RFC 6750 section 3.1). */
  unauthorized(description: string): Refusal
  ambiguous(description: string): Refusal
  insufficient(scheme: Scheme): Refusal
  /** `headers` carry the nonce for the next proof. */
  unacceptable(scheme: Scheme, fault: Fault, headers?: readonly Header[]): Refusal
}

interface Fault {
  readonly error: 'invalid_token' | 'invalid_dpop_proof' | 'use_dpop_nonce'
  /** A fixed sentence. */
  readonly description: string
}

/** What is wrong with access tokens. */
export const TOKEN_FAULTS = {
  invalid: { error: 'invalid_token', description: 'The access token is expired, revoked or not valid.' },
  unbound: { error: 'invalid_token', description: 'The access token is bound to no key; send it as Bearer.' },
  unproven: { error: 'invalid_token', description: 'The access token is bound to a key; send it as DPoP.' },
  proofless: { error: 'invalid_dpop_proof', description: 'The DPoP header is missing.' },
  uncertified: {
    error: 'invalid_token',
    description: 'The access token is bound to a client certificate that the request does not have.',
  },
} as const satisfies Readonly<Record<string, Fault>>

/** Makes the answers of a guard. `realm` and `demanded` must fit into a quoted string. */
export function refusals({ realm, demanded, algorithms }: Protection): Refusals {
  const scope: readonly Parameter[] = demanded.length === 0 ? [] : [['scope', demanded.join(' ')]]
  const challenge = (scheme: Scheme, parameters: readonly Parameter[]) => {
    const algs: readonly Parameter[] = scheme === 'DPoP' ? [['algs', algorithms.join(' ')]] : []
    const all = [['realm', realm] as const, ...parameters, ...algs]
    return `${scheme} ${all.map(([name, value]) => `${name}="${value}"`).join(', ')}`
  }
  const refusal = (
    status: number,
    [error, description]: readonly [string, string],
    challenges: string,
    headers: readonly Header[] = [],
  ): Refusal => ({
    ok: false,
    response: json(status, { error, error_description: description }, [['www-authenticate', challenges], ...headers]),
  })
  const named = (error: string, description: string): readonly Parameter[] => [
    ['error', error],
    ['error_description', description],
  ]
  return {
    unauthorized: (description) =>
      refusal(
        401,
        ['unauthorized', description],
        // In one header, as runtimes show several anyway.
        `${challenge('Bearer', scope)}, ${challenge('DPoP', scope)}`,
      ),
    ambiguous(description) {
      const said = ['invalid_request', description] as const
      return refusal(400, said, challenge('Bearer', named(...said)))
    },
    insufficient(scheme) {
      const said = ['insufficient_scope', 'The access token does not cover this.'] as const
      return refusal(403, said, challenge(scheme, [...named(...said), ...scope]))
    },
    unacceptable: (scheme, { error, description }, headers) =>
      refusal(401, [error, description], challenge(scheme, named(error, description)), headers),
  }
}
