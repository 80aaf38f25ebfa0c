import { createHash } from 'node:crypto'
import type { PlainRequest, PlainResponse } from '@baton/http'
import type { Chances } from './chances.js'
import type { VirtualClock } from './clock.js'
import type { Network } from './network.js'
import type { Plan } from './plan.js'
import type { Prover } from './prover.js'
import { CLIENT, type CodeWanted, ORIGIN } from './server.js'

/** What it takes to redeem a code. */
export interface PendingCode {
  readonly code: string
  readonly verifier: string
}

interface CodeWorld {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly chances: Chances
  readonly network: Network
  readonly prover: Prover | null
  readonly isOffline: () => boolean
  /** The page is gone. */
  readonly isOver: () => boolean
  /** What the authorize page hands out once somebody has signed in there. */
  readonly authorize: (wanted: CodeWanted) => string
  readonly onCode: (pending: PendingCode) => void
}

const TRIES = 3
const PATIENCE_MS = 10_000
const MOST_PAUSE_MS = 5000

/**
 * Signs in with an authorization code, as an app does that tries once more with the same code where no answer came. Resolves to the
 * token response; rejects where nothing came of it.
 */
export async function signInByCode(world: CodeWorld, subject: string): Promise<Record<string, unknown>> {
  const { plan, clock, chances, prover } = world
  const verifier = chances.text() + chances.text()
  const codeChallenge = createHash('sha256').update(verifier).digest('base64url')
  const code = world.authorize({ subject, codeChallenge, confirmation: prover?.confirmation ?? null })
  world.onCode({ code, verifier })
  const key = plan.codeKeys ? chances.text() : null
  for (let tries = 0; tries < TRIES; tries += 1) {
    if (tries > 0) await clock.sleep(chances.between(0, MOST_PAUSE_MS))
    const request = codeRequest({ code, verifier }, { key, proof: prover?.prove(TOKEN_REQUEST) ?? null })
    const answer = await answerTo(world, request)
    prover?.remember(answer?.headers.find(([name]) => name === 'dpop-nonce')?.[1] ?? null)
    const members = JSON.parse(answer?.body ?? '{}') as Record<string, unknown>
    if (answer?.status === 200) return members
    if (answer !== null && answer.status < 500 && members['error'] !== 'use_dpop_nonce')
      throw new Error(`the code was answered with ${String(members['error'])}`)
  }
  throw new Error('the network is gone')
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

/** Null where none came in time. */
function answerTo(
  { clock, network, isOffline, isOver }: CodeWorld,
  request: PlainRequest,
): Promise<PlainResponse | null> {
  return new Promise((resolve) => {
    let isAwaited = true
    const settle = (answer: PlainResponse | null) => {
      isAwaited = false
      resolve(answer)
    }
    clock.after(PATIENCE_MS, () => {
      settle(null)
    })
    network.send({
      request,
      isOffline: isOffline(),
      isStray: () => !isAwaited || isOver(),
      pretends: false,
      onFailure: () => {
        settle(null)
      },
      onAnswer: settle,
    })
  })
}
