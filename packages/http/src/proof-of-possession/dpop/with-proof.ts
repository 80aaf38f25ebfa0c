import type { Confirmation } from '@baton/core'
import type { Exchange } from '../../pipeline/define-endpoint.js'
import type { PlainResponse } from '../../messages/message.js'
import { error } from '../../messages/responses.js'
import { getUrl } from '../../pipeline/transport.js'
import type { ProofChecker, Proven, OneTimeKeyStore } from './proof-checker.js'

interface ProofContext {
  readonly proofs: ProofChecker
  readonly oneTimeKeys: OneTimeKeyStore
  readonly exchange: Exchange
}

/**
 * Verifies the proof of a request, calls `respond` with its key (null without a proof), and adds the nonce for the next proof to the
 * response. A proof is accepted once.
 */
export async function withProof(
  context: ProofContext,
  respond: (confirmation: Confirmation | null) => Promise<PlainResponse>,
): Promise<PlainResponse> {
  return withOptionalProof(context, async (proven) =>
    proven.ok ? respond(proven.confirmation) : proofRejection(proven),
  )
}

/** Like `withProof`, for a request that needs a proof only if its token is bound to a key: `respond` handles an invalid proof. */
export async function withOptionalProof(
  { proofs, oneTimeKeys, exchange }: ProofContext,
  respond: (proven: Proven) => Promise<PlainResponse>,
): Promise<PlainResponse> {
  const { request, transport, now } = exchange
  // Most requests have no proof, and computing the URL costs as much as parsing their body.
  const url = request.headers['dpop'] === undefined ? null : getUrl(request, transport)
  const response = await respond(await proofs.prove({ request, url, now, oneTimeKeys }))
  const nonces = proofs.nonceHeaders(now)
  return nonces.length === 0 ? response : { ...response, headers: [...response.headers, ...nonces] }
}

/** The rejection of a request whose token is bound to a key that the request did not prove. */
export function unprovenKey(proven: Proven): PlainResponse {
  if (!proven.ok) return proofRejection(proven)
  return error('invalid_dpop_proof', { description: 'The token is bound to a key; send a proof of that key.' })
}

/** The rejection of a bad proof. */
export function proofRejection({ error: code, description }: Extract<Proven, { ok: false }>): PlainResponse {
  return error(code, { description })
}
