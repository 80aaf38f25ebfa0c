import type { PlainRequest, PlainResponse } from '@baton/http'
import type { Browser } from './browser.js'
import type { Chronicle } from './chronicle.js'
import type { Network } from './network.js'
import type { Plan } from './plan.js'
import { CLIENT, refreshTokenIn } from './server.js'

export interface Thief {
  /** Copies what the browser has stored; from then on the family is a stolen one. */
  copy(): void
  /** Shows his latest token; resolves to whether he got another one. */
  refresh(how?: { older?: boolean; pretends?: boolean }): Promise<boolean>
  readonly hasAny: () => boolean
}

interface ThiefWorld {
  readonly plan: Plan
  readonly browser: Browser
  readonly network: Network
  readonly chronicle: Chronicle
}

/** Somebody with a copy of what one browser had. He is no browser, and writes what he likes into his requests. */
export function createThief({ plan, browser, network, chronicle }: ThiefWorld): Thief {
  /** Latest first. */
  const hoard: string[] = []

  function requestWith(text: string, pretends: boolean): PlainRequest {
    const clientId = pretends ? 'another' : CLIENT
    // What belongs to a cookie is asked for at its endpoint; there is only one client there to be.
    const isForm = plan.carrier === 'token' || pretends
    const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: text, client_id: clientId })
    const bytes = Buffer.from(isForm ? form.toString() : '')
    const common = { host: ['app.example'] }
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
    copy() {
      const { refreshToken } = browser.stored()
      if (refreshToken === null) return
      const family = chronicle.familyOf(refreshToken)
      if (family !== undefined) family.isStolen = true
      hoard.unshift(refreshToken)
    },
    async refresh({ older = false, pretends = false } = {}) {
      const text = hoard[older ? 1 : 0]
      if (text === undefined) return false
      const answer = await new Promise<PlainResponse | null>((resolve) => {
        network.send({
          request: requestWith(text, pretends),
          isOffline: false,
          isStray: () => false,
          pretends,
          onFailure: () => {
            resolve(null)
          },
          onAnswer: resolve,
        })
      })
      const next = answer?.status === 200 ? refreshTokenIn(answer) : null
      if (next === null) return false
      if (!hoard.includes(next)) hoard.unshift(next)
      return true
    },
  }
}
