import type { PlainRequest, PlainResponse } from '@baton/http'
import { createRng } from './rng.js'
import type { Browser } from './browser.js'
import type { Recorder } from './recorder.js'
import type { Network } from './network.js'
import type { VirtualClock } from './clock.js'
import type { Plan } from './plan.js'
import { createProver } from './prover.js'
import { CLIENT, findRefreshToken } from './server.js'
import { codeRequest, TOKEN_REQUEST } from './sign-in.js'
import type { FamilyHistory } from './trace.js'

export interface Attacker {
  /** Copies the stored refresh token of the browser. The family counts as stolen from then on. */
  copy(): void
  /** Presents the latest token. Resolves to true if the server returned another one. */
  refresh(how?: { older?: boolean; impersonates?: boolean }): Promise<boolean>
  /** Redeems the code of the last sign-in. */
  redeem(how?: { withoutVerifier?: boolean }): Promise<void>
  readonly hasToken: () => boolean
  /** The family of the latest token. */
  readonly family: () => FamilyHistory | undefined
}

interface AttackerWorld {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly browser: Browser
  readonly network: Network
  readonly recorder: Recorder
}

/** An attacker with a copy of what one browser had. Its requests may contain anything. */
export function createAttacker({ plan, clock, browser, network, recorder }: AttackerWorld): Attacker {
  const rng = createRng(`${plan.seed}/thief`)
  /** The key of the browser cannot be copied, so that the attacker has another one; null if no proof is required. */
  const ownKey =
    plan.proofs === 'none' ? null : createProver({ rng, now: () => clock.now(), fractions: plan.fractions })
  /** Latest first. */
  const stolenTokens: string[] = []

  const proof = () => (ownKey === null || rng.chance(0.5) ? null : ownKey.prove(TOKEN_REQUEST))

  function send(request: PlainRequest, impersonates: boolean): Promise<PlainResponse | null> {
    return new Promise((resolve) => {
      network.send({
        request,
        isOffline: false,
        isOrphaned: () => false,
        impersonates,
        onFailure: () => {
          resolve(null)
        },
        onResponse: (response) => {
          ownKey?.remember(response.headers.find(([name]) => name === 'dpop-nonce')?.[1] ?? null)
          resolve(response)
        },
      })
    })
  }

  function rememberSession(response: PlainResponse | null): boolean {
    const next = response?.status === 200 ? findRefreshToken(response) : null
    if (next === null) return false
    if (!stolenTokens.includes(next)) stolenTokens.unshift(next)
    return true
  }

  function requestWith(text: string, impersonates: boolean): PlainRequest {
    const clientId = impersonates ? 'another' : CLIENT
    // A token from a cookie is presented at the cookie endpoint, which has only one client.
    const isForm = plan.carrier === 'token' || impersonates
    const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: text, client_id: clientId })
    const bytes = Buffer.from(isForm ? form.toString() : '')
    const presented = isForm ? proof() : null
    const common = { host: ['app.example'], ...(presented === null ? {} : { dpop: [presented] }) }
    return {
      method: 'POST',
      url: isForm ? '/oauth/token' : '/auth/refresh',
      headers: isForm
        ? { ...common, 'content-type': ['application/x-www-form-urlencoded'] }
        : { ...common, 'x-baton': ['1'], 'sec-fetch-site': ['same-origin'], cookie: [`__Host-baton=${text}`] },
      body: { kind: 'stream', read: async () => bytes },
      remoteAddress: '198.51.100.9',
      encrypted: true,
    }
  }

  return {
    hasToken: () => stolenTokens.length > 0,
    family: () => recorder.familyOf(stolenTokens[0] ?? ''),
    copy() {
      const { refreshToken } = browser.stored()
      if (refreshToken === null) return
      const family = recorder.familyOf(refreshToken)
      if (family !== undefined && ownKey === null) family.isStolen = true
      stolenTokens.unshift(refreshToken)
    },
    async refresh({ older = false, impersonates = false } = {}) {
      const text = stolenTokens[older ? 1 : 0]
      if (text === undefined) return false
      return rememberSession(await send(requestWith(text, impersonates), impersonates || ownKey !== null))
    },
    async redeem({ withoutVerifier = false } = {}) {
      const pending = browser.lastCode()
      if (pending === null) return
      const known = withoutVerifier ? { ...pending, verifier: rng.text() + rng.text() } : pending
      rememberSession(await send(codeRequest(known, { key: null, proof: proof() }), withoutVerifier || ownKey !== null))
    },
  }
}
