/**
 * What the client of an app does: it keeps the tokens, refreshes once for all tabs, and asks again when an answer was lost.
 * Written out here so that it can be watched.
 */
const KEY = 'baton-demo'
const CLIENT = 'web'
const RETRIES = 3

export class SignedOut extends Error {}

/** @param {{ run: string, onChange: () => void }} options */
export function createSessions({ run, onChange }) {
  addEventListener('storage', (event) => {
    if (event.key === KEY) onChange()
  })

  function read() {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? 'null')
    return stored?.run === run ? stored : { run }
  }

  function write(change) {
    localStorage.setItem(KEY, JSON.stringify({ ...read(), ...change }))
    onChange()
  }

  /** The new tokens count only if the old one is still what is kept: a late answer must not undo what came after it. */
  function commit(device, presented, answer, sentAt) {
    const kept = read()[device]
    if (kept?.refreshToken !== presented && kept?.refreshToken !== answer.refresh_token) return
    write({ [device]: { ...kept, ...tokensFrom(answer, sentAt), attempt: null } })
  }

  async function refresh(device, { presented = read()[device]?.refreshToken, lose = false, onLost = () => {} } = {}) {
    // One tab at a time: the others find the new token when their turn comes.
    return navigator.locks.request(`${KEY}-${device}`, async () => {
      const kept = read()[device]
      if (!kept?.refreshToken) throw new SignedOut()
      if (kept.refreshToken !== presented) return kept
      // Kept before it is sent, so that even a tab that dies now asks again under the same key.
      const attempt = kept.attempt ?? freshKey()
      write({ [device]: { ...kept, attempt } })
      for (let tries = 0; ; tries += 1) {
        const sentAt = Date.now()
        try {
          const { status, body } = await sendRefresh(device, presented, { attempt, lose: lose && tries === 0 })
          return settle(device, presented, status, body, sentAt)
        } catch (error) {
          if (!(error instanceof TypeError) || tries === RETRIES) throw error
          onLost()
          await pause(700)
        }
      }
    })
  }

  function settle(device, presented, status, body, sentAt) {
    if (status === 200) {
      commit(device, presented, body, sentAt)
      return tokensFrom(body, sentAt)
    }
    if (body?.error !== 'invalid_grant')
      throw new Error(`The refresh was answered with ${status} ${body?.error ?? ''}.`)
    if (read()[device]?.refreshToken === presented) forget(device)
    throw new SignedOut()
  }

  function forget(device) {
    const { familyId, username } = read()[device] ?? {}
    write({ [device]: { familyId, username } })
  }

  return {
    read,
    write,
    refresh,
    forget,

    async signIn(device, username, password) {
      const sentAt = Date.now()
      const answer = await send(device, '/login', {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ username, password, client_id: CLIENT }),
      })
      if (answer.status !== 200) return false
      write({ [device]: { ...tokensFrom(answer.body, sentAt), username, attempt: null } })
      return true
    },

    /** As one tab that waits for no other would do it: without the lock, and without a key. */
    async refreshUnlocked(device, presented) {
      const sentAt = Date.now()
      const { status, body } = await sendRefresh(device, presented, {})
      return settle(device, presented, status, body, sentAt)
    },

    /** Calls the API; on 401 refreshes and asks again, once. Tells `onStep` what happens. */
    async call(device, onStep = () => {}) {
      const { accessToken, refreshToken } = read()[device]
      const first = await get(device, '/api/me', accessToken)
      onStep('answer', first)
      if (first.status !== 401) return first
      const tokens = await refresh(device, { presented: refreshToken })
      onStep('refreshed', tokens)
      const second = await get(device, '/api/me', tokens.accessToken)
      onStep('answer', second)
      return second
    },

    async signOut(device) {
      const { refreshToken } = read()[device]
      await send(device, '/oauth/revoke', { body: new URLSearchParams({ token: refreshToken, client_id: CLIENT }) })
      forget(device)
    },

    async signOutEverywhere(device) {
      const { accessToken, refreshToken, accessUntil } = read()[device]
      const token =
        Date.now() < accessUntil - 1000 ? accessToken : (await refresh(device, { presented: refreshToken })).accessToken
      return send(device, '/auth/logout-everywhere', { headers: { authorization: `Bearer ${token}` } })
    },
  }
}

/** @returns {Promise<{ status: number, body: any }>} */
export function sendRefresh(actor, refreshToken, { attempt, lose }) {
  return send(actor, '/oauth/token', {
    headers: { ...(attempt ? { 'idempotency-key': attempt } : {}), ...(lose ? { 'demo-lose-answer': '1' } : {}) },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken, client_id: CLIENT }),
  })
}

function get(actor, path, accessToken) {
  return send(actor, path, { method: 'GET', headers: { authorization: `Bearer ${accessToken}` } })
}

/** Rejects with a TypeError if the answer did not arrive. */
async function send(actor, path, { headers = {}, ...init }) {
  const response = await fetch(path, {
    method: 'POST',
    credentials: 'omit',
    cache: 'no-store',
    ...init,
    headers: { ...headers, 'demo-actor': actor },
  })
  const text = await response.text()
  return {
    status: response.status,
    challenge: response.headers.get('www-authenticate') ?? '',
    body: text.startsWith('{') ? JSON.parse(text) : null,
  }
}

function tokensFrom(answer, sentAt) {
  return {
    accessToken: answer.access_token,
    refreshToken: answer.refresh_token,
    // Counted from before the request was sent, so never too late.
    accessUntil: sentAt + answer.expires_in * 1000,
    accessSeconds: answer.expires_in,
    familyId: familyOf(answer.access_token),
  }
}

/** Apps need not look into access tokens; the demo does, to find the login in the picture. */
function familyOf(accessToken) {
  const payload = accessToken.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')
  return JSON.parse(atob(payload)).sid
}

function freshKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export async function fingerprint(token) {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))
  return Array.from(new Uint8Array(hash).slice(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
