import type { Exchange } from '../endpoint.js'
import type { PlainResponse } from '../message.js'
import { error } from '../respond.js'
import { urlOf } from '../transport.js'
import type { ProofChecker, UsedOnce } from './dpop.js'

/**
 * Judges the proof that a request brings before `answer` is asked, and gives its client the nonce of the next one. `answer` gets
 * the key, `jkt:…`, or null without a proof. A proof works once.
 */
export async function withProof(
  { proofs, memory, exchange }: { proofs: ProofChecker; memory: UsedOnce; exchange: Exchange },
  answer: (boundKey: string | null) => Promise<PlainResponse>,
): Promise<PlainResponse> {
  const { request, transport, now } = exchange
  // Most requests bring none, and finding out what we are called costs as much as parsing their body.
  const url = request.headers['dpop'] === undefined ? null : urlOf(request, transport)
  const proven = await proofs.prove({ request, url, now, memory })
  const response = proven.ok ? await answer(proven.boundKey) : error(proven.error, { description: proven.description })
  const nonces = proofs.nonceHeaders(now)
  return nonces.length === 0 ? response : { ...response, headers: [...response.headers, ...nonces] }
}
