import {
  createSession,
  type Environment,
  type Lock,
  type Proofs,
  type Session,
  type SessionStorage,
} from '@baton/client'
import { cookieEndpoints } from '@baton/client/cookie'
import { oauthEndpoints } from '@baton/client/oauth'
import type { PlainRequest, PlainResponse } from '@baton/http'
import { createRng } from './rng.js'
import type { Recorder } from './recorder.js'
import type { VirtualClock } from './clock.js'
import type { Network } from './network.js'
import type { Plan } from './plan.js'
import { createProver } from './prover.js'
import { CLIENT, type CodeRequest, ORIGIN } from './server.js'
import type { SessionJudge } from './session-judge.js'
import { type PendingCode, signInByCode } from './sign-in.js'

export interface Tab {
  readonly name: string
  readonly session: Session
  readonly isDead: () => boolean
  /** Ends the tab at once, with everything that it has in progress. */
  crash(): void
}

export interface Browser {
  readonly tabs: (Tab | undefined)[]
  /** Opens a page in this place and crashes the previous one. */
  open(place: number): Tab
  /** The user of the last sign-in attempt. */
  subject: string
  signIn(tab: Tab, subject: string): Promise<void>
  goOffline(ms: number): void
  /** Shifts the wall clock. The monotonic clock does not change. */
  shiftWallClock(ms: number): void
  /** Everything that an attacker finds in a copy of the disk. */
  readonly stored: () => { refreshToken: string | null; key: string | null }
  /** Stores a legacy token in place of a session. */
  storeLegacyToken(text: string): void
  /** The API answers 401 to all access tokens seen so far. */
  rejectAccessTokens(): void
  /** The code of the last sign-in by code; null if there was none. */
  readonly lastCode: () => PendingCode | null
}

interface BrowserWorld {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly network: Network
  readonly recorder: Recorder
  readonly authorize: (wanted: CodeRequest) => string
  /** Receives the stored session, the cookies and the events of tabs. */
  readonly judge: SessionJudge
}

const STORED = 'session'
const SIGN_IN_MS = 30_000
/** From the headers of a response to the end of its body. */
const BODY_MS = 1500

/** One browser: tabs that share a storage, a cookie jar and possibly a lock. Each tab runs the real client. */
export function createBrowser(world: BrowserWorld): Browser {
  const { plan, clock, network, recorder, authorize, judge } = world
  const rng = createRng(`${plan.seed}/browser`)
  const disk = new Map<string, string>()
  const jar = new Map<string, string>()
  const listeners = new Set<{ tab: string; call: () => void }>()
  const lock = createLock()
  const tabs: (Tab | undefined)[] = []
  const seen = new Set<string>()
  const rejected = new Set<string>()
  let wallMs = 0
  let offlineUntil = 0
  let opened = 0
  let lastCode: PendingCode | null = null
  const wallClock = () => clock.now() + wallMs
  const prover =
    plan.proofs === 'none'
      ? null
      : createProver({ rng: createRng(`${plan.seed}/key`), now: wallClock, fractions: plan.fractions })

  function receive({ headers }: PlainResponse): void {
    for (const [name, value] of headers) {
      if (name !== 'set-cookie') continue
      const [, cookie = '', text = ''] = /^([^=]+)=([^;]*)/.exec(value) ?? []
      if (text === '') jar.delete(cookie)
      else {
        jar.set(cookie, text)
        judge.cookieSet(text)
      }
    }
  }

  function toPlainRequest(url: URL, init: RequestInit): PlainRequest {
    const given = new Headers(init.headers)
    const headers: Record<string, readonly string[]> = { host: [url.host] }
    for (const [name, value] of given) headers[name] = [value]
    if (init.credentials === 'include') {
      headers['sec-fetch-site'] = ['same-origin']
      if (jar.size > 0) headers['cookie'] = [[...jar].map(([name, value]) => `${name}=${value}`).join('; ')]
    }
    const bytes = Buffer.from(typeof init.body === 'string' ? init.body : '')
    return {
      method: init.method ?? 'GET',
      url: url.pathname,
      headers,
      body: { kind: 'stream', read: async () => bytes },
      remoteAddress: '192.0.2.1',
      encrypted: true,
    }
  }

  function storedSession(): { refreshToken?: string | null; accessToken?: string | null; request?: { key: string } } {
    const record = JSON.parse(disk.get(STORED) ?? '{}') as { session?: ReturnType<typeof storedSession> }
    return record.session ?? {}
  }

  function open(place: number): Tab {
    tabs[place]?.crash()
    opened += 1
    const name = `tab ${String(place)} (${String(opened)})`
    const life = { isEnded: false, holds: new Set<() => void>() }
    const never = new Promise<never>(() => undefined)
    const openedAt = clock.now()

    const environment: Environment = {
      fetch: async (input, init = {}) => {
        const url = new URL(input instanceof Request ? input.url : input)
        const sent = input instanceof Request ? await toRequestInit(input) : init
        if (life.isEnded) return never
        if (url.pathname === '/api') return api(sent)
        return new Promise((resolve, reject) => {
          const flight = { isAwaited: true }
          const fail = (error: Error) => {
            flight.isAwaited = false
            if (!life.isEnded) reject(error)
          }
          sent.signal?.addEventListener('abort', () => {
            fail(new Error('aborted'))
          })
          const isOrphaned = () => life.isEnded || !flight.isAwaited
          network.send({
            request: toPlainRequest(url, sent),
            isOffline: clock.now() < offlineUntil,
            isOrphaned,
            impersonates: false,
            onFailure: () => {
              fail(new TypeError('the network failed'))
            },
            onResponse: (response) => {
              // Browsers cancel aborted requests and those of closed pages. Their cookies are not stored.
              if (isOrphaned()) return
              receive(response)
              resolve(toResponse(response))
            },
          })
        })
      },
      now: wallClock,
      elapsed: () => clock.now() - openedAt,
      random: (size) => rng.bytes(size),
      setTimer: (ms, call) =>
        clock.after(ms, () => {
          if (!life.isEnded) call()
        }),
      onWake: () => () => undefined,
      origin: ORIGIN,
    }
    const alive = <Value>(value: Value): Promise<Value> => (life.isEnded ? never : Promise.resolve(value))
    const ownLock: Lock = (signal) => {
      if (life.isEnded) return never
      return lock(plan.sharedLock ? 'shared' : name, signal).then((release) => {
        if (life.isEnded) {
          release()
          return never
        }
        life.holds.add(release)
        return () => {
          life.holds.delete(release)
          release()
        }
      })
    }
    const storage: SessionStorage = {
      read: () => alive(disk.get(STORED) ?? null),
      swap(before, after) {
        if (life.isEnded) return never
        if ((disk.get(STORED) ?? null) !== before) return alive(false)
        disk.set(STORED, after)
        judge.stored(after)
        return alive(true)
      },
      lock: ownLock,
      announce: () => {
        for (const listener of listeners) if (listener.tab !== name) clock.after(rng.between(1, 5), listener.call)
      },
      listen: (call) => {
        const listener = {
          tab: name,
          call: () => {
            if (!life.isEnded) call()
          },
        }
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    }

    /** An API that accepts every token except the rejected ones. */
    async function api({ headers }: RequestInit): Promise<Response> {
      const token = new Headers(headers).get('authorization') ?? ''
      seen.add(token)
      await clock.sleep(rng.between(5, 50))
      if (life.isEnded) return never
      return rejected.has(token)
        ? toResponse({ status: 401, headers: [['www-authenticate', 'Bearer error="invalid_token"']], body: '{}' })
        : toResponse({ status: 200, headers: [], body: token })
    }

    const proofs: Proofs | null = prover && {
      scheme: 'DPoP',
      async send(build, { accessToken }) {
        const once = async () => {
          const request = build()
          request.headers.set('dpop', prover.prove({ method: request.method, url: request.url, accessToken }))
          const response = await environment.fetch(request)
          prover.remember(response.headers.get('dpop-nonce'))
          return response
        }
        const response = await once()
        return (await response.text()).includes('"use_dpop_nonce"') ? once() : response
      },
    }
    const endpoints =
      plan.carrier === 'token'
        ? oauthEndpoints({
            tokenEndpoint: `${ORIGIN}/oauth/token`,
            revocationEndpoint: `${ORIGIN}/oauth/revoke`,
            clientId: CLIENT,
            idempotencyKey: true,
          })
        : cookieEndpoints({
            refreshEndpoint: `${ORIGIN}/auth/refresh`,
            logoutEndpoint: `${ORIGIN}/auth/logout`,
            shareAccessToken: true,
          })
    const session = createSession({ endpoints, storage, environment, ...(proofs === null ? {} : { dpop: proofs }) })
    let knownSid: string | null = null
    session.on('signedOut', ({ reason }) => {
      recorder.note(clock.now(), `${name} is signed out: ${reason}`)
      judge.signedOut(knownSid, reason)
      knownSid = null
    })
    for (const type of ['signedIn', 'refreshed', 'synced'] as const)
      session.on(type, ({ sid }) => {
        knownSid = sid
      })
    const tab: Tab = {
      name,
      session,
      isDead: () => life.isEnded,
      crash() {
        life.isEnded = true
        session.dispose()
        for (const release of life.holds) release()
      },
    }
    tabs[place] = tab
    session.start()
    return tab
  }

  async function signIn(tab: Tab, subject: string): Promise<void> {
    browser.subject = subject
    judge.signInAttempted()
    if (plan.signIn === 'code') {
      const response = await signInByCode(
        {
          ...{ plan, clock, rng, network, prover, authorize },
          isOffline: () => clock.now() < offlineUntil,
          isEnded: tab.isDead,
          onCode: (pending) => (lastCode = pending),
        },
        subject,
      )
      if (tab.isDead()) throw new Error('the page is closed')
      await tab.session.login(response)
      return
    }
    await tab.session.login(
      (signal) =>
        new Promise((resolve, reject) => {
          const body = JSON.stringify({ username: subject })
          let isAwaited = true
          const isOrphaned = () => tab.isDead() || !isAwaited
          const fail = (message: string) => {
            isAwaited = false
            reject(new Error(message))
          }
          // The browser discards later responses and their cookies.
          signal.addEventListener('abort', () => {
            fail('aborted')
          })
          if (plan.signInLimit)
            clock.after(SIGN_IN_MS, () => {
              fail('no response')
            })
          network.send({
            request: toPlainRequest(new URL(`${ORIGIN}/login`), {
              method: 'POST',
              headers: { 'content-type': 'application/json', 'x-baton': '1' },
              credentials: 'include',
              body,
            }),
            isOffline: clock.now() < offlineUntil,
            isOrphaned,
            impersonates: false,
            onFailure: () => {
              fail('the network failed')
            },
            onResponse: (response) => {
              if (isOrphaned()) return
              receive(response)
              // The page may be closed after the cookie was stored and before the body is read.
              clock.after(BODY_MS, () => {
                if (isOrphaned()) return
                if (response.status === 200) resolve(JSON.parse(response.body ?? '{}') as Record<string, unknown>)
                else fail(`the sign-in failed with ${String(response.status)}`)
              })
            },
          })
        }),
    )
  }

  const browser: Browser = {
    tabs,
    open,
    subject: 'none',
    signIn,
    goOffline(ms) {
      offlineUntil = Math.max(offlineUntil, clock.now() + ms)
    },
    shiftWallClock(ms) {
      wallMs += ms
    },
    stored() {
      const { refreshToken = null, request } = storedSession()
      return { refreshToken: jar.get('__Host-baton') ?? refreshToken, key: request?.key ?? null }
    },
    storeLegacyToken(text) {
      const session = {
        state: 'live',
        sid: 'legacy',
        generation: 0,
        attempt: rng.text(),
        refreshToken: text,
        accessToken: null,
        expiresAt: null,
        lifetimeMs: null,
        scope: null,
      }
      const content = JSON.stringify({ session, pause: null, revocations: [] })
      disk.set(STORED, content)
      judge.stored(content)
    },
    rejectAccessTokens() {
      for (const token of seen) rejected.add(token)
      const { accessToken } = storedSession()
      if (accessToken != null) rejected.add(`${prover === null ? 'Bearer' : 'DPoP'} ${accessToken}`)
    },
    lastCode: () => lastCode,
  }
  return browser
}

async function toRequestInit(request: Request): Promise<RequestInit> {
  const { method, headers, signal, credentials } = request
  return { method, headers, signal, credentials, body: await request.text() }
}

function toResponse({ status, headers, body }: PlainResponse): Response {
  const response = new Response(null, { status, headers: headers.map(([name, value]) => [name, value]) })
  // Ten times faster than the implementation of the platform, with the same result.
  return Object.assign(response, { text: async () => body ?? '' })
}

/** Grants each named lock in the order of the requests. */
function createLock(): (name: string, signal: AbortSignal) => Promise<() => void> {
  const queues = new Map<string, (() => void)[]>()
  return (name, signal) =>
    new Promise((resolve, reject) => {
      const queue = queues.get(name) ?? []
      queues.set(name, queue)
      let isReleased = false
      const release = () => {
        if (isReleased) return
        isReleased = true
        const place = queue.indexOf(begin)
        if (place === -1) return
        queue.splice(place, 1)
        if (place === 0) queue[0]?.()
      }
      const begin = () => {
        resolve(release)
      }
      signal.addEventListener('abort', () => {
        reject(new Error('aborted'))
        if (queue[0] !== begin) release()
      })
      queue.push(begin)
      if (queue[0] === begin) begin()
    })
}
