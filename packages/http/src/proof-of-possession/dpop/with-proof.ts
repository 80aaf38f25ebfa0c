import type { Confirmation } from '@baton/core'
import type { Exchange } from '../../pipeline/define-endpoint.js'
import type { PlainResponse } from '../../messages/message.js'
import { error } from '../../messages/responses.js'
import { getUrl } from '../../pipeline/transport.js'
import type { ProofChecker, Proven, UsedOnce } from './proof-checker.js'

interface Proving {
  readonly proofs: ProofChecker
  readonly memory: UsedOnce
  readonly exchange: Exchange
}

/**
 * Verifies the proof of a request before `answer` is called, and adds the nonce for the next proof to the response. `answer` gets
 * the key, or null without a proof. A proof works once.
 */
export async function withProof(
  proving: Proving,
  answer: (confirmation: Confirmation | null) => Promise<PlainResponse>,
): Promise<PlainResponse> {
  return withOptionalProof(proving, async (proven) => (proven.ok ? answer(proven.confirmation) : proofError(proven)))
}

/** The same for a request that needs a proof only where its token is bound to a key: `answer` decides what a bad proof means. */
export async function withOptionalProof(
  { proofs, memory, exchange }: Proving,
  answer: (proven: Proven) => Promise<PlainResponse>,
): Promise<PlainResponse> {
  const { request, transport, now } = exchange
  // Most requests bring no proof, and the URL costs as much as parsing their body.
  const url = request.headers['dpop'] === undefined ? null : getUrl(request, transport)
  const response = await answer(await proofs.prove({ request, url, now, memory }))
  const nonces = proofs.nonceHeaders(now)
  return nonces.length === 0 ? response : { ...response, headers: [...response.headers, ...nonces] }
}

/** The rejection of a request whose token is bound to a key that the request did not prove. */
export function unconfirmed(proven: Proven): PlainResponse {
  if (!proven.ok) return proofError(proven)
  return error('invalid_dpop_proof', { description: 'The token is bound to a key; send a proof of that key.' })
}

/** The rejection of a bad proof. */
export function proofError({ error: code, description }: Extract<Proven, { ok: false }>): PlainResponse {
  return error(code, { description })
}
