import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { AbortController, AbortSignal } from 'abort-controller'
import { createEnvironment, createSession, memoryStorage, type Session, SessionError } from '@baton/client'
import { beginAuthorization } from '@baton/client/authorization'
import { dpop } from '@baton/client/dpop'
import { oauthEndpoints } from '@baton/client/oauth'
import { fetch, Headers, Request, Response } from 'whatwg-fetch'

/** The part of XMLHttpRequest that `whatwg-fetch` uses, without redirects. */
class XmlHttpRequest {
  status = 0
  statusText = ''
  responseText = ''
  onload: () => void = () => undefined
  onerror: () => void = () => undefined
  onabort: () => void = () => undefined
  readonly #sent: Record<string, string> = {}
  #headers: readonly string[] = []
  #request: { readonly method: string; readonly url: string } = { method: 'GET', url: '' }

  open(method: string, url: string): void {
    this.#request = { method, url }
  }

  setRequestHeader(name: string, value: string): void {
    this.#sent[name] = value
  }

  getAllResponseHeaders(): string {
    return this.#headers.join('\r\n')
  }

  send(body: string | null | undefined): void {
    const { method, url } = this.#request
    const sending = request(url, { method, headers: this.#sent, agent: false }, (response) => {
      const { statusCode = 0, headers } = response
      text(response).then(
        (received) => {
          this.responseText = received
          this.#headers = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}`)
          this.status = statusCode
          this.onload()
        },
        () => this.onerror(),
      )
    })
    sending.on('error', () => this.onerror())
    sending.end(body ?? undefined)
  }

  abort(): void {
    this.onabort()
  }
}

/**
 * Replaces globals by those of React Native: the packages that it brings for `fetch` and `AbortController`, and its gaps. `URL` and
 * `getRandomValues` stand for the polyfills that the documentation asks for.
 */
function becomeReactNative(): void {
  const { crypto } = globalThis
  Object.assign(URL, { canParse: undefined, parse: undefined })
  const globals = {
    ...{ fetch, Request, Response, Headers, AbortController, AbortSignal, XMLHttpRequest: XmlHttpRequest },
    crypto: { getRandomValues: (bytes: Uint8Array) => crypto.getRandomValues(bytes) },
    navigator: { product: 'ReactNative' },
    ...{ structuredClone: undefined, BroadcastChannel: undefined, DOMException: undefined, ReadableStream: undefined },
  }
  for (const [name, value] of Object.entries(globals))
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
}

const [origin = ''] = process.argv.slice(2)
const keyPair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
becomeReactNative()

let ahead = 0
const timers = new Set<() => void>()
const environment = {
  ...createEnvironment(),
  now: () => Date.now() + ahead,
  setTimer(_ms: number, call: () => void) {
    timers.add(call)
    return () => timers.delete(call)
  },
}
const session: Session = createSession({
  endpoints: oauthEndpoints({
    tokenEndpoint: `${origin}/oauth/token`,
    revocationEndpoint: `${origin}/oauth/revoke`,
    clientId: 'web',
  }),
  storage: memoryStorage(),
  environment,
})

/** What a test calls. */
const actions = {
  login: (answer: Record<string, unknown>) => session.login(answer),
  async pass(ms: number) {
    ahead += ms
  },
  /** Every timer is due, over and over, until the call returns. */
  async tokenWhileTimersRun() {
    const call = { isPending: true }
    const token = session.getAccessToken().finally(() => (call.isPending = false))
    token.catch(() => undefined)
    while (call.isPending) {
      await new Promise((resolve) => setImmediate(resolve))
      for (const due of [...timers]) if (timers.delete(due)) due()
    }
    return token
  },
  async abortedToken() {
    const controller = new globalThis.AbortController()
    const token = session.getAccessToken({ signal: controller.signal })
    controller.abort()
    return token
  },
  get: async (path: string) => (await session.fetch(origin + path)).json(),
  async post(path: string, body: string) {
    const headers = { 'content-type': 'application/json' }
    return (await session.fetch(origin + path, { method: 'POST', headers, body })).json()
  },
  logout: () => session.logout(),
  beginAuthorization: () =>
    beginAuthorization({ authorizationEndpoint: origin, clientId: 'web', redirectUri: 'app.example:/callback' }),
  thumbprint: () => dpop({ keyPair }).thumbprint(),
} as const

type Actions = typeof actions
export type Action = keyof Actions

process.on('message', ([name, parameters]: [Action, never[]]) => {
  const table: Readonly<Record<Action, (...given: never[]) => Promise<unknown>>> = actions
  table[name](...parameters).then(
    (value) => process.send?.({ value }),
    (error: unknown) => process.send?.({ error: error instanceof SessionError ? error.message : String(error) }),
  )
})
process.on('disconnect', () => process.exit())
process.send?.('ready')
