import { SessionError } from '../platform/errors.js'
import { type ErrorCodeMapper, parseTokenResponse, type TokenResult } from './token-response.js'
import type { Call } from './requests.js'
import type { Proofs, ProofSubject } from './proofs.js'
import type { Environment } from '../platform/environment.js'
import { captureStart, within } from '../platform/timing.js'

/** The result of a request. `ok` is that of the response. */
interface Reply {
  readonly ok: boolean
  readonly answer: TokenResult
}

/**
 * Sends a request to the server. Never rejects: without a response the result is an error. A request with an optional proof is completed
 * even if the page is closed.
 */
export type Transport = (call: Call | null, proof: Pick<ProofSubject, 'isBound' | 'isOptional'>) => Promise<Reply>

interface TransportContext {
  readonly environment: Environment
  readonly proofs: Proofs
  readonly requestTimeoutSeconds: number
}

export function createTransport(
  { environment, proofs, requestTimeoutSeconds }: TransportContext,
  errorCode: ErrorCodeMapper | undefined,
): Transport {
  return async (call, proof) => {
    const began = captureStart(environment)
    try {
      if (!call) throw new SessionError('signed_out', 'not_renewable')
      const { url, credentials, ...rest } = call
      return await within(environment, requestTimeoutSeconds, async (signal) => {
        const init: RequestInit = {
          ...rest,
          method: 'POST',
          signal,
          keepalive: !!proof.isOptional,
          // A redirect must not forward the refresh token.
          redirect: 'manual',
          // Outside of browsers there are no cookies, and some runtimes do not know the option.
          ...(environment.origin ? { credentials } : {}),
        }
        const response = await proofs.send(() => new Request(url, init), { accessToken: null, ...proof })
        const circumstances = { scheme: proofs.scheme, sentAt: began(), now: environment.now() }
        const answer = await parseTokenResponse(response, circumstances, errorCode)
        return { ok: response.ok, answer }
      })
    } catch (error) {
      return {
        ok: false,
        answer: error instanceof SessionError ? error : new SessionError('unavailable', 'no response'),
      }
    }
  }
}
