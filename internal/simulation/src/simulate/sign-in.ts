import { createHash } from 'node:crypto'
import type { PlainRequest, PlainResponse } from '@baton/http'
import type { Rng } from './rng.js'
import type { VirtualClock } from './clock.js'
import type { Network } from './network.js'
import type { Plan } from './plan.js'
import type { Prover } from './prover.js'
import { CLIENT, type CodeRequest, ORIGIN } from './server.js'

/** The parameters that redeem a code. */
export interface PendingCode {
  readonly code: string
  readonly verifier: string
}

interface CodeWorld {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly rng: Rng
  readonly network: Network
  readonly prover: Prover | null
  readonly isOffline: () => boolean
  /** The page is closed. */
  readonly isEnded: () => boolean
  /** The code that the authorization page issues after a sign-in. */
  readonly authorize: (wanted: CodeRequest) => string
  readonly onCode: (pending: PendingCode) => void
}

const MAX_ATTEMPTS = 3
const RESPONSE_TIMEOUT_MS = 10_000
const MAX_PAUSE_MS = 5000

/**
 * Signs in with an authorization code. Tries again with the same code if no response arrives, as an app does. Resolves
 * to the token response, or rejects.
 */
export async function signInByCode(world: CodeWorld, subject: string): Promise<Record<string, unknown>> {
  const { plan, clock, rng, prover } = world
  const verifier = rng.text() + rng.text()
  const codeChallenge = createHash('sha256').update(verifier).digest('base64url')
  const code = world.authorize({ subject, codeChallenge, confirmation: prover?.confirmation ?? null })
  world.onCode({ code, verifier })
  const key = plan.codeKeys ? rng.text() : null
  for (let tries = 0; tries < MAX_ATTEMPTS; tries += 1) {
    if (tries > 0) await clock.sleep(rng.between(0, MAX_PAUSE_MS))
    const request = codeRequest({ code, verifier }, { key, proof: prover?.prove(TOKEN_REQUEST) ?? null })
    const response = await sendAndWait(world, request)
    prover?.remember(response?.headers.find(([name]) => name === 'dpop-nonce')?.[1] ?? null)
    const members = JSON.parse(response?.body ?? '{}') as Record<string, unknown>
    if (response?.status === 200) return members
    if (response !== null && response.status < 500 && members['error'] !== 'use_dpop_nonce')
      throw new Error(`the code was rejected with ${String(members['error'])}`)
  }
  throw new Error('the network failed')
}

export const TOKEN_REQUEST = { method: 'POST', url: `${ORIGIN}/oauth/token`, accessToken: null } as const

export function codeRequest(
  { code, verifier }: PendingCode,
  { key, proof }: { readonly key: string | null; readonly proof: string | null },
): PlainRequest {
  const form = { grant_type: 'authorization_code', code, code_verifier: verifier, client_id: CLIENT }
  const bytes = Buffer.from(new URLSearchParams(form).toString())
  return {
    method: 'POST',
    url: '/oauth/token',
    headers: {
      host: ['app.example'],
      'content-type': ['application/x-www-form-urlencoded'],
      ...(key === null ? {} : { 'idempotency-key': [key] }),
      ...(proof === null ? {} : { dpop: [proof] }),
    },
    body: { kind: 'stream', read: async () => bytes },
    remoteAddress: '192.0.2.1',
    encrypted: true,
  }
}

/** Resolves to null if no response arrives in time. */
function sendAndWait(
  { clock, network, isOffline, isEnded }: CodeWorld,
  request: PlainRequest,
): Promise<PlainResponse | null> {
  return new Promise((resolve) => {
    let isAwaited = true
    const settle = (response: PlainResponse | null) => {
      isAwaited = false
      resolve(response)
    }
    clock.after(RESPONSE_TIMEOUT_MS, () => {
      settle(null)
    })
    network.send({
      request,
      isOffline: isOffline(),
      isOrphaned: () => !isAwaited || isEnded(),
      impersonates: false,
      onFailure: () => {
        settle(null)
      },
      onResponse: settle,
    })
  })
}
