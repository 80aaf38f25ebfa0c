import type { PlainRequest, PlainResponse } from '@baton/http'
import { chancesOf } from './chances.js'
import type { Browser } from './browser.js'
import type { Chronicle } from './chronicle.js'
import type { Network } from './network.js'
import type { VirtualClock } from './clock.js'
import type { Plan } from './plan.js'
import { createProver } from './prover.js'
import { CLIENT, refreshTokenIn } from './server.js'
import { codeRequest, TOKEN_REQUEST } from './sign-in.js'
import type { FamilyHistory } from './visit.js'

export interface Thief {
  /** Copies what the browser has stored; from then on the family is a stolen one. */
  copy(): void
  /** Shows his latest token; resolves to whether he got another one. */
  refresh(how?: { older?: boolean; pretends?: boolean }): Promise<boolean>
  /** Redeems the code of the last sign-in. */
  redeem(how?: { withoutVerifier?: boolean }): Promise<void>
  readonly hasAny: () => boolean
  /** Whose his latest token is. */
  readonly family: () => FamilyHistory | undefined
}

interface ThiefWorld {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly browser: Browser
  readonly network: Network
  readonly chronicle: Chronicle
}

/** Somebody with a copy of what one browser had. He is no browser, and writes what he likes into his requests. */
export function createThief({ plan, clock, browser, network, chronicle }: ThiefWorld): Thief {
  const chances = chancesOf(`${plan.seed}/thief`)
  /** The browser's cannot be copied, which makes him a pretender; null where no key is asked for. */
  const ownKey =
    plan.proofs === 'none' ? null : createProver({ chances, now: () => clock.now(), fractions: plan.fractions })
  /** Latest first. */
  const hoard: string[] = []

  const proof = () => (ownKey === null || chances.happens(0.5) ? null : ownKey.prove(TOKEN_REQUEST))

  function send(request: PlainRequest, pretends: boolean): Promise<PlainResponse | null> {
    return new Promise((resolve) => {
      network.send({
        request,
        isOffline: false,
        isStray: () => false,
        pretends,
        onFailure: () => {
          resolve(null)
        },
        onAnswer: (answer) => {
          ownKey?.remember(answer.headers.find(([name]) => name === 'dpop-nonce')?.[1] ?? null)
          resolve(answer)
        },
      })
    })
  }

  function keep(answer: PlainResponse | null): boolean {
    const next = answer?.status === 200 ? refreshTokenIn(answer) : null
    if (next === null) return false
    if (!hoard.includes(next)) hoard.unshift(next)
    return true
  }

  function requestWith(text: string, pretends: boolean): PlainRequest {
    const clientId = pretends ? 'another' : CLIENT
    // What belongs to a cookie is asked for at its endpoint; there is only one client there to be.
    const isForm = plan.carrier === 'token' || pretends
    const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: text, client_id: clientId })
    const bytes = Buffer.from(isForm ? form.toString() : '')
    const shown = isForm ? proof() : null
    const common = { host: ['app.example'], ...(shown === null ? {} : { dpop: [shown] }) }
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
    hasAny: () => hoard.length > 0,
    family: () => chronicle.familyOf(hoard[0] ?? ''),
    copy() {
      const { refreshToken } = browser.stored()
      if (refreshToken === null) return
      const family = chronicle.familyOf(refreshToken)
      if (family !== undefined && ownKey === null) family.isStolen = true
      hoard.unshift(refreshToken)
    },
    async refresh({ older = false, pretends = false } = {}) {
      const text = hoard[older ? 1 : 0]
      if (text === undefined) return false
      return keep(await send(requestWith(text, pretends), pretends || ownKey !== null))
    },
    async redeem({ withoutVerifier = false } = {}) {
      const pending = browser.lastCode()
      if (pending === null) return
      const known = withoutVerifier ? { ...pending, verifier: chances.text() + chances.text() } : pending
      keep(await send(codeRequest(known, { key: null, proof: proof() }), withoutVerifier || ownKey !== null))
    },
  }
}
