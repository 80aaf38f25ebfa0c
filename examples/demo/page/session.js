/**
 * The sessions of two devices, kept by @baton/client as in any app. What is particular here is that one can watch: each part of the
 * story opens a session of its own on what the device has stored, as a page does that has just been loaded.
 */
import { createEnvironment, createSession, SessionError } from './client/index.js'
import { oauthEndpoints } from './client/oauth.js'
import { webStorage } from './client/web-storage.js'

/** What the page remembers beside the sessions: whose they are, and what the thief has. */
const NOTES = 'baton-demo'
const DEVICES = ['laptop', 'phone']
const CLIENT = 'web'
/** Nobody serves it. */
const REFUSED = '/demo/refused'

const keyOf = (device) => `${NOTES}-${device}`
const storedFor = (device) => localStorage.getItem(keyOf(device))
const environment = createEnvironment()
const nobodysLock = async () => () => {}

export const signedOut = (reason) => new SessionError('signed_out', reason)
/** Whether this says that nobody is signed in. */
export const isSignedOut = (error) => error instanceof SessionError && error.code === 'signed_out'

/** @param {{ run: string, onChange: () => void }} options */
export function createSessions({ run, onChange }) {
  addEventListener('storage', ({ key }) => {
    if (key?.startsWith(NOTES)) onChange()
  })
  if (notes().run !== run) {
    for (const device of DEVICES) localStorage.removeItem(keyOf(device))
    localStorage.setItem(NOTES, JSON.stringify({ run }))
  }

  function notes() {
    return JSON.parse(localStorage.getItem(NOTES) ?? '{}')
  }

  function write(change) {
    localStorage.setItem(NOTES, JSON.stringify({ ...notes(), ...change }))
    onChange()
  }

  /** Apps have no need to look into what is stored; the demo has, to show it. */
  function read() {
    const known = notes()
    const devices = DEVICES.filter((device) => known[device]).map((device) => [
      device,
      { ...known[device], ...tokensIn(storedFor(device)) },
    ])
    return { ...known, ...Object.fromEntries(devices) }
  }

  /** A session of this device, whose requests go through `send`, and carry the device's name for the observer. */
  function open(device, { send = fetch, idempotencyKey = true, ...options } = {}) {
    const session = createSession({
      endpoints: oauthEndpoints({
        tokenEndpoint: '/oauth/token',
        revocationEndpoint: '/oauth/revoke',
        clientId: CLIENT,
        idempotencyKey,
      }),
      storage: webStorage({ key: keyOf(device) }),
      ...options,
      environment: {
        ...environment,
        ...options.environment,
        fetch: (input, init) => send(named(device, new Request(input, { ...init, cache: 'no-store' }))),
      },
    })
    for (const type of ['refreshed', 'synced', 'signedIn', 'signedOut']) session.on(type, onChange)
    return session
  }

  /** Has the device refresh now: to its session it looks as if the API had refused the access token. */
  async function refresh(device, { lose = false, onLost = () => {}, stored = storedFor(device), ...options } = {}) {
    const { accessToken } = tokensIn(stored)
    let toLose = lose
    const send = async (request) => {
      if (new URL(request.url).pathname === REFUSED) return answerTo(request, accessToken)
      if (toLose) request.headers.set('demo-lose-answer', '1')
      toLose = false
      return fetch(request)
    }
    const session = open(device, { send, ...options })
    session.on('retrying', onLost)
    const { ok } = await session.fetch(REFUSED)
    demandSignedIn(session)
    if (!ok) throw new Error('The refresh was not answered.')
    return read()[device]
  }

  /** Over here and in all tabs; the server is told, or knows. */
  function forget(device) {
    localStorage.removeItem(keyOf(device))
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
        const response = await fetch(named(device, new Request('/login', { method: 'POST', headers, body })))
        status = response.status
        return response.json()
      }
      try {
        await open(device).login(ask)
      } catch (error) {
        if (status === 401) return false
        throw error
      }
      const { familyId } = tokensIn(storedFor(device))
      write({ [device]: { username, familyId } })
      return true
    },

    /**
     * As one tab that waits for no other would do it: without the lock, without a key, and with what it had read before. The answer
     * starts it.
     */
    armUnlocked(device) {
      const armed = storedFor(device)
      let received = null
      let written = armed
      const storage = {
        lock: nobodysLock,
        read: async () => received ?? armed,
        async swap(_before, after) {
          received = after
          // Of several tabs, the first one stores its request and then its tokens.
          if (storedFor(device) === written) {
            localStorage.setItem(keyOf(device), after)
            written = after
          }
          return true
        },
      }
      return async () => {
        await refresh(device, { stored: armed, storage, idempotencyKey: false })
        onChange()
        return tokensIn(received)
      }
    },

    /** Calls the API. Tells `onStep` what happens: an answer 401, a refresh, and the answer to the same call again. */
    async call(device, onStep = () => {}) {
      const { accessUntil, accessSeconds } = read()[device]
      // A session whose clock is right refreshes before a token has ended. Here the 401 is to be seen, so the clock has stopped.
      let stopped = true
      const now = () => (stopped ? accessUntil - accessSeconds * 1000 : Date.now())
      const send = async (request) => {
        const response = await fetch(request)
        if (new URL(request.url).pathname !== '/api/me') return response
        if (response.status === 401) stopped = false
        onStep('answer', await seenIn(response.clone()))
        return response
      }
      const session = open(device, { send, environment: { now } })
      session.on('refreshed', () => onStep('refreshed'))
      const response = await session.fetch('/api/me')
      demandSignedIn(session)
      return response
    },

    async signOut(device) {
      await open(device).logout()
    },

    async signOutEverywhere(device) {
      const session = open(device)
      const { ok } = await session.fetch('/auth/logout-everywhere', { method: 'POST' })
      if (!ok) throw new Error('The server did not end the sessions.')
      await session.logout()
    },
  }
}

/** What the API answered says nothing to one who is signed out by now. */
function demandSignedIn(session) {
  const { status, reason } = session.snapshot()
  if (status === 'signedOut') throw signedOut(reason)
}

/**
 * As nobody's session would do it.
 * @returns {Promise<{ status: number, body: any }>}
 */
export async function sendRefresh(actor, refreshToken) {
  const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken, client_id: CLIENT })
  const request = new Request('/oauth/token', { method: 'POST', credentials: 'omit', cache: 'no-store', body })
  return seenIn(await fetch(named(actor, request)))
}

function named(actor, request) {
  request.headers.set('demo-actor', actor)
  return request
}

/** Refuses this token, and takes every other. */
function answerTo(request, accessToken) {
  if (request.headers.get('authorization') !== `Bearer ${accessToken}`) return new Response(null, { status: 204 })
  return new Response(null, { status: 401, headers: { 'www-authenticate': 'Bearer error="invalid_token"' } })
}

async function seenIn(response) {
  const text = await response.text()
  return {
    status: response.status,
    challenge: response.headers.get('www-authenticate') ?? '',
    body: text.startsWith('{') ? JSON.parse(text) : null,
  }
}

/** Nothing where nobody is signed in. */
function tokensIn(stored) {
  const session = JSON.parse(stored ?? 'null')?.session
  if (session?.state !== 'live') return {}
  const { accessToken, refreshToken, expiresAt, lifetimeMs } = session
  return {
    accessToken,
    refreshToken,
    accessUntil: expiresAt,
    accessSeconds: lifetimeMs / 1000,
    familyId: familyOf(accessToken),
  }
}

/** Apps need not look into access tokens; the demo does, to find the login in the picture. */
function familyOf(accessToken) {
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
