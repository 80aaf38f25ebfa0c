import type { RequestBuilder } from '../protocol/requests.js'
import { type ErrorCodeMapper, parseGrant, type TokenResult } from '../protocol/token-response.js'
import { createTransport } from '../protocol/transport.js'
import type { RunRequest, SessionContext } from './context.js'
import { createRefresh } from './refresh.js'
import type { Refresh } from './refresh-decisions.js'
import { retry } from './retry.js'
import { createRevocations } from './revocations.js'

/** A server of the session: returned by `oauthEndpoints()` and `cookieEndpoints()`. */
export interface Endpoints extends RequestBuilder {
  /** Called once, by the session that uses these endpoints. */
  readonly connect: (context: SessionContext) => Connection
}

/** Sends requests and parses responses for one session. */
export interface Connection {
  readonly refresh: Refresh
  /** Sends another grant. The request is repeated only if it has an Idempotency-Key. */
  readonly exchange: (parameters: Readonly<Record<string, string>>, key: string) => Promise<TokenResult>
  /** Runs a sign-in or a sign-out. In cookie mode these requests must not overlap, in any page. */
  readonly run: RunRequest
  /** Sends the revocations that the server has not confirmed yet. */
  readonly flush: () => Promise<boolean>
  /** Parses the members of a token response (RFC 6749 section 5.1). */
  readonly parseGrant: typeof parseGrant
}

/** Connects a session to its endpoints. `createRunner` decides when the requests of sign-in and sign-out run. */
export function connectWith(createRunner: (context: SessionContext) => RunRequest, errorCode?: ErrorCodeMapper) {
  return (context: SessionContext): Connection => {
    const transport = createTransport(context, errorCode)
    const run = createRunner(context)
    return {
      refresh: createRefresh({ ...context, transport }),
      async exchange(parameters, key) {
        const call = context.endpoints.exchange(parameters, key)
        const send = async () => (await transport(call, { isBound: false })).answer
        // Without the key, the server could take a repetition for reuse of the code.
        return call?.headers['idempotency-key'] ? retry(context, send) : send()
      },
      run,
      flush: createRevocations({ ...context, transport, run }),
      parseGrant,
    }
  }
}
