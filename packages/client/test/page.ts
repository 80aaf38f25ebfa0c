import {
  createEnvironment,
  createSession,
  memoryStorage,
  type Session,
  SessionError,
  type SessionStorage,
} from '@baton/client'
import { cookieEndpoints } from '@baton/client/cookie'
import { dpop, type Dpop } from '@baton/client/dpop'
import { indexedDbStorage } from '@baton/client/indexed-db'
import { logoutEverywhere } from '@baton/client/logout-everywhere'
import { oauthEndpoints } from '@baton/client/oauth'
import { webStorage } from '@baton/client/web-storage'

/** How a page of a test opens its session; crosses into the browser as JSON. */
export interface Opening {
  readonly mode?: 'token' | 'cookie'
  readonly storage?: 'local' | 'indexedDB' | 'memory'
  /** `page`: as in a browser without Web Locks. */
  readonly lock?: 'platform' | 'page'
  readonly lockTimeoutSeconds?: number
  /** With proofs of a key that the browser keeps. */
  readonly dpop?: boolean
  readonly shareAccessToken?: boolean
  /** False: the server cannot distinguish a retry from reuse. */
  readonly idempotencyKey?: boolean
  /** How far the wall clock is ahead of the machine's, in milliseconds. */
  readonly offset?: number
  /** Follows other tabs, and refreshes ahead of time. Default true. */
  readonly started?: boolean
}

/** What came of a call, as JSON. */
export type Told<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string }

const STORAGES: Readonly<Record<'local' | 'indexedDB' | 'memory', () => SessionStorage>> = {
  local: webStorage,
  indexedDB: indexedDbStorage,
  memory: memoryStorage,
}

const clock = { wall: 0, monotonic: 0 }
const heard: string[] = []
let session: Session
let proofs: Dpop | null = null

/** What tests call, in pages and workers. */
const actions = {
  async open(opening: Opening) {
    const {
      mode = 'token',
      storage = 'indexedDB',
      lock = 'platform',
      offset = 0,
      started = true,
      dpop: isBound = false,
    } = opening
    const { lockTimeoutSeconds, shareAccessToken = false, idempotencyKey = true } = opening
    clock.wall = offset
    const environment = {
      ...createEnvironment(),
      now: () => Date.now() + clock.wall,
      elapsed: () => performance.now() + clock.monotonic,
    }
    proofs = isBound ? dpop({ environment }) : null
    const endpoints =
      mode === 'token'
        ? oauthEndpoints({
            tokenEndpoint: '/oauth/token',
            revocationEndpoint: '/oauth/revoke',
            clientId: 'web',
            idempotencyKey,
          })
        : cookieEndpoints({ refreshEndpoint: '/auth/refresh', logoutEndpoint: '/auth/logout', shareAccessToken })
    session = createSession({
      endpoints,
      ...(lockTimeoutSeconds === undefined ? {} : { lockTimeoutSeconds }),
      storage: { ...STORAGES[storage](), ...(lock === 'page' ? { lock: memoryStorage().lock } : {}) },
      environment,
      ...(proofs === null ? {} : { dpop: proofs }),
    })
    for (const type of ['signedIn', 'refreshed', 'retrying', 'storageFailed'] as const)
      session.on(type, () => heard.push(type))
    session.on('signedOut', ({ reason }) => reason !== 'no_session' && heard.push('signedOut'))
    session.on('synced', ({ replaced }) => heard.push(replaced ? 'replaced' : 'synced'))
    if (!started) return
    session.start()
    // It looks at once; what a test does next is not to come in between.
    await session.getAccessToken().catch(() => undefined)
  },
  async remount() {
    session.dispose()
    session.start()
    session.start()
  },
  async dispose() {
    session.dispose()
  },
  /** Advances both clocks, or only the wall clock, as during sleep or when the clock is set. */
  async pass(ms: number, which: 'both' | 'wall') {
    clock.wall += ms
    if (which === 'both') clock.monotonic += ms
  },
  login: (username: string, path: string) =>
    session.login(async () => {
      const headers = { 'content-type': 'application/json' }
      const send = proofs?.fetch ?? fetch
      const response = await send(path, { method: 'POST', headers, body: JSON.stringify({ username }) })
      return response.json()
    }),
  token: () => session.getAccessToken(),
  async get(path: string) {
    const response = await session.fetch(path)
    return { status: response.status, body: await response.text() }
  },
  async post(kind: 'json' | 'form' | 'blob' | 'stream' | 'request') {
    const response = await session.fetch(...bodyOf(kind))
    return { status: response.status, body: await response.json() }
  },
  logout: () => session.logout(),
  logoutEverywhere: () => logoutEverywhere(session, '/auth/logout-everywhere'),
  status: async () => session.snapshot().status,
  heard: async () => heard,
} as const

export type Actions = typeof actions
export type Action = keyof Actions

function bodyOf(kind: 'json' | 'form' | 'blob' | 'stream' | 'request'): [string | Request, RequestInit?] {
  const path = '/api/echo'
  const json = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"n":1}' }
  switch (kind) {
    case 'json':
      return [path, json]
    case 'form': {
      const body = new FormData()
      body.set('n', '1')
      return [path, { method: 'POST', body }]
    }
    case 'blob':
      return [path, { method: 'POST', body: new Blob(['n=1'], { type: 'text/x-test' }) }]
    case 'request':
      return [new Request(path, json)]
    case 'stream': {
      const body = new Blob(['n=1']).stream()
      return [path, { method: 'POST', body, duplex: 'half' }]
    }
  }
}

/** Never rejects: an error crosses as what it is called. */
async function act(name: Action, parameters: readonly unknown[]): Promise<Told<unknown>> {
  try {
    const table: Readonly<Record<Action, (...given: never[]) => Promise<unknown>>> = actions
    return { ok: true, value: await table[name](...(parameters as never[])) }
  } catch (error) {
    return { ok: false, error: error instanceof SessionError ? `${error.code}: ${error.message}` : String(error) }
  }
}

interface Port {
  postMessage(message: unknown): void
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void
  start?(): void
}

/** The same in workers, by messages. */
function serve(port: Port): void {
  port.addEventListener('message', ({ data }) => {
    if (!Array.isArray(data)) return
    const [id, name, parameters]: [number, Action, unknown[]] = data as [number, Action, unknown[]]
    void act(name, parameters).then((told) => port.postMessage([id, told]))
  })
  port.start?.()
}

Object.assign(globalThis, { act, serve })
