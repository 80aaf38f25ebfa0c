/**
 * The sessions of two devices, with @baton/client as in any app. Each step opens a new session on the stored record of
 * the device, like a page that was just loaded.
 */
import { createEnvironment, createSession, SessionError } from './client/index.js'
import { oauthEndpoints } from './client/oauth.js'
import { webStorage } from './client/web-storage.js'

/** The key for data besides the sessions: the users, and the token of the attacker. */
const STORAGE_KEY = 'baton-demo'
const DEVICES = ['laptop', 'phone']
const CLIENT = 'web'
/** No server handles this path. */
const REJECTED_PATH = '/demo/rejected'

const storageKey = (device) => `${STORAGE_KEY}-${device}`
const readStored = (device) => localStorage.getItem(storageKey(device))
const environment = createEnvironment()
const noLock = async () => () => {}

export const signedOut = (reason) => new SessionError('signed_out', reason)
/** Returns true for the error of a signed-out session. */
export const isSignedOut = (error) => error instanceof SessionError && error.code === 'signed_out'

/** @param {{ run: string, onChange: () => void }} options */
export function createSessions({ run, onChange }) {
  addEventListener('storage', ({ key }) => {
    if (key?.startsWith(STORAGE_KEY)) onChange()
  })
  if (notes().run !== run) {
    for (const device of DEVICES) localStorage.removeItem(storageKey(device))
    localStorage.setItem(STORAGE_KEY, JSON.stringify({ run }))
  }

  function notes() {
    return JSON.parse(localStorage.getItem(STORAGE_KEY) ?? '{}')
  }

  function write(change) {
    localStorage.setItem(STORAGE_KEY, JSON.stringify({ ...notes(), ...change }))
    onChange()
  }

  /** Apps need not read the stored record. The demo does, to display it. */
  function read() {
    const known = notes()
    const devices = DEVICES.filter((device) => known[device]).map((device) => [
      device,
      { ...known[device], ...parseTokens(readStored(device)) },
    ])
    return { ...known, ...Object.fromEntries(devices) }
  }

  /**
   * Opens a session of this device. Its requests go through `send` and carry the name of the device for the observer.
   */
  function open(device, { send = fetch, idempotencyKey = true, ...options } = {}) {
    const session = createSession({
      endpoints: oauthEndpoints({
        tokenEndpoint: '/oauth/token',
        revocationEndpoint: '/oauth/revoke',
        clientId: CLIENT,
        idempotencyKey,
      }),
      storage: webStorage({ key: storageKey(device) }),
      ...options,
      environment: {
        ...environment,
        ...options.environment,
        fetch: (input, init) => send(withActor(device, new Request(input, { ...init, cache: 'no-store' }))),
      },
    })
    for (const type of ['refreshed', 'synced', 'signedIn', 'signedOut']) session.on(type, onChange)
    return session
  }

  /** Refreshes now: the session receives a 401 for its access token. */
  async function refresh(device, { lose = false, onLost = () => {}, stored = readStored(device), ...options } = {}) {
    const { accessToken } = parseTokens(stored)
    let toLose = lose
    const send = async (request) => {
      if (new URL(request.url).pathname === REJECTED_PATH) return createApiResponse(request, accessToken)
      if (toLose) request.headers.set('demo-lose-response', '1')
      toLose = false
      return fetch(request)
    }
    const session = open(device, { send, ...options })
    session.on('retrying', onLost)
    const { ok } = await session.fetch(REJECTED_PATH)
    assertSignedIn(session)
    if (!ok) throw new Error('The refresh got no response.')
    return read()[device]
  }

  /** Removes the session in all tabs. The server has already revoked it. */
  function forget(device) {
    localStorage.removeItem(storageKey(device))
    onChange()
  }

  return {
    read,
    write,
    refresh,
    forget,

    async signIn(device, username, password) {
      let status = 0
      const ask = async () => {
        const body = JSON.stringify({ username, password, client_id: CLIENT })
        const headers = { 'content-type': 'application/json' }
        const response = await fetch(withActor(device, new Request('/login', { method: 'POST', headers, body })))
        status = response.status
        return response.json()
      }
      try {
        await open(device).login(ask)
      } catch (error) {
        if (status === 401) return false
        throw error
      }
      const { familyId } = parseTokens(readStored(device))
      write({ [device]: { username, familyId } })
      return true
    },

    /**
     * Prepares the refresh of a tab without a lock and without an Idempotency-Key, with the record read before. The
     * returned function sends it.
     */
    armUnlocked(device) {
      const armed = readStored(device)
      let received = null
      let written = armed
      const storage = {
        lock: noLock,
        read: async () => received ?? armed,
        async swap(_before, after) {
          received = after
          // The first of several tabs stores its request and then its tokens.
          if (readStored(device) === written) {
            localStorage.setItem(storageKey(device), after)
            written = after
          }
          return true
        },
      }
      return async () => {
        await refresh(device, { stored: armed, storage, idempotencyKey: false })
        onChange()
        return parseTokens(received)
      }
    },

    /** Calls the API. Calls `onStep` for the 401, the refresh, and the response to the repeated call. */
    async call(device, onStep = () => {}) {
      const { accessUntil, accessSeconds } = read()[device]
      // A session refreshes before its token expires. To show the 401, the clock of this session stands still.
      let stopped = true
      const now = () => (stopped ? accessUntil - accessSeconds * 1000 : Date.now())
      const send = async (request) => {
        const response = await fetch(request)
        if (new URL(request.url).pathname !== '/api/me') return response
        if (response.status === 401) stopped = false
        onStep('answer', await readResponse(response.clone()))
        return response
      }
      const session = open(device, { send, environment: { now } })
      session.on('refreshed', () => onStep('refreshed'))
      const response = await session.fetch('/api/me')
      assertSignedIn(session)
      return response
    },

    async signOut(device) {
      await open(device).logout()
    },

    async signOutEverywhere(device) {
      const session = open(device)
      const { ok } = await session.fetch('/auth/logout-everywhere', { method: 'POST' })
      if (!ok) throw new Error('The server did not revoke the sessions.')
      await session.logout()
    },
  }
}

/** Throws if the session has ended: the response of the API does not matter then. */
function assertSignedIn(session) {
  const { status, reason } = session.snapshot()
  if (status === 'signedOut') throw signedOut(reason)
}

/**
 * Sends a refresh without a session.
 * @returns {Promise<{ status: number, body: any }>}
 */
export async function sendRefresh(actor, refreshToken) {
  const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken, client_id: CLIENT })
  const request = new Request('/oauth/token', { method: 'POST', credentials: 'omit', cache: 'no-store', body })
  return readResponse(await fetch(withActor(actor, request)))
}

function withActor(actor, request) {
  request.headers.set('demo-actor', actor)
  return request
}

/** Rejects this token, and accepts every other one. */
function createApiResponse(request, accessToken) {
  if (request.headers.get('authorization') !== `Bearer ${accessToken}`) return new Response(null, { status: 204 })
  return new Response(null, { status: 401, headers: { 'www-authenticate': 'Bearer error="invalid_token"' } })
}

async function readResponse(response) {
  const text = await response.text()
  return {
    status: response.status,
    challenge: response.headers.get('www-authenticate') ?? '',
    body: text.startsWith('{') ? JSON.parse(text) : null,
  }
}

/** Returns an empty object if no user is signed in. */
function parseTokens(stored) {
  const session = JSON.parse(stored ?? 'null')?.session
  if (session?.state !== 'live') return {}
  const { accessToken, refreshToken, expiresAt, lifetimeMs } = session
  return {
    accessToken,
    refreshToken,
    accessUntil: expiresAt,
    accessSeconds: lifetimeMs / 1000,
    familyId: parseFamilyId(accessToken),
  }
}

/** Apps need not parse access tokens. The demo does, to find the family in the picture. */
function parseFamilyId(accessToken) {
  const payload = accessToken.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')
  return JSON.parse(atob(payload)).sid
}

export async function fingerprint(token) {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))
  return Array.from(new Uint8Array(hash).slice(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
