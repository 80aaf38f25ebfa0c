import { createEnvironment, createSession, memoryStorage, type Session } from '@baton/client'
import { oauthEndpoints } from '@baton/client/oauth'
import { CLIENT } from './shared.js'

/** A user with two tabs on one storage, and possibly an attacker with a copy of the refresh token. */
export interface SoakUser {
  readonly name: string
  /** Both tabs request access tokens until `stop` is called. */
  start(): void
  stop(): void
  /** Copies the refresh token and uses it at once. */
  steal(): Promise<void>
  refreshAsAttacker(): Promise<boolean>
  readonly isStolen: () => boolean
  /** The reason of the first sign-out that a tab reported; null if there was none. */
  readonly signedOut: () => string | null
  /** Refreshes, and resolves to true if the server has issued a new token. */
  renew(): Promise<boolean>
  readonly familyId: string
}

/** An overloaded service responds late, which is not a sign-out. */
const MAX_ATTEMPTS = 10
const PAUSE_MS = 2000

interface SoakUserOptions {
  readonly name: string
  /** Returns the origin of one of the processes, a different one each time. */
  readonly origin: () => string
  readonly chance: () => number
}

export async function createSoakUser({ name, origin, chance }: SoakUserOptions): Promise<SoakUser> {
  const storage = memoryStorage()
  const environment = {
    ...createEnvironment(),
    // The public name of a service behind a load balancer.
    fetch: (input: Request | string | URL, init?: RequestInit) => {
      const { pathname } = new URL(input instanceof Request ? input.url : input)
      return fetch(`${origin()}${pathname}`, init)
    },
  }
  const open = (): Session =>
    createSession({
      endpoints: oauthEndpoints({
        tokenEndpoint: 'https://service.example/oauth/token',
        clientId: CLIENT,
        idempotencyKey: true,
      }),
      storage,
      environment,
      requestTimeoutSeconds: 5,
    })
  const tabs = [open(), open()]
  let timers: ReturnType<typeof setTimeout>[] = []
  let stolen: string | null = null
  let isStolen = false
  let signedOut: string | null = null
  for (const tab of tabs)
    tab.on('signedOut', ({ reason }) => {
      if (reason !== 'no_session') signedOut ??= reason
    })

  const [first] = tabs
  if (first === undefined) throw new Error('createSession returned no session')
  const response = await fetch(`${origin()}/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: name }),
  })
  const tokenResponse = (await response.json()) as Record<string, unknown>
  await first.login(tokenResponse)
  // Access tokens of this service contain the family id.
  const familyId = String(tokenResponse['access_token']).replace(/^at\./, '')

  async function refreshWith(refreshToken: string): Promise<string | null> {
    const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: CLIENT, refresh_token: refreshToken })
    const response = await fetch(`${origin()}/oauth/token`, {
      method: 'POST',
      body,
      signal: AbortSignal.timeout(5000),
    }).catch(() => null)
    if (response?.status !== 200) return null
    const members = (await response.json()) as { refresh_token?: string }
    return members.refresh_token ?? null
  }

  async function stored(): Promise<{ refreshToken: string | null; generation: number }> {
    const record = JSON.parse((await storage.read()) ?? '{}') as {
      session?: { refreshToken?: string; generation?: number }
    }
    const { refreshToken = null, generation = -1 } = record.session ?? {}
    return { refreshToken, generation }
  }

  async function refreshAsAttacker(): Promise<boolean> {
    const next = stolen === null ? null : await refreshWith(stolen)
    stolen = next ?? stolen
    return next !== null
  }

  function work(tab: Session): void {
    const again = () => {
      timers.push(
        setTimeout(
          () => {
            tab.getAccessToken().then(again, again)
          },
          500 + chance() * 2000,
        ),
      )
    }
    again()
  }

  return {
    name,
    start() {
      for (const tab of tabs) {
        tab.start()
        work(tab)
      }
    },
    stop() {
      for (const timer of timers) clearTimeout(timer)
      timers = []
      for (const tab of tabs) tab.dispose()
    },
    async steal() {
      const { refreshToken } = await stored()
      // A user who was already signed out has no token to copy.
      if (refreshToken === null) return
      stolen = refreshToken
      isStolen = true
      await refreshAsAttacker()
    },
    refreshAsAttacker,
    isStolen: () => isStolen,
    signedOut: () => signedOut,
    async renew() {
      const { generation } = await stored()
      for (let tries = 0; tries < MAX_ATTEMPTS; tries += 1) {
        await tabs[1]?.getAccessToken().catch(() => null)
        if ((await stored()).generation > generation) return true
        await new Promise((resolve) => {
          setTimeout(resolve, PAUSE_MS)
        })
      }
      return false
    },
    familyId,
  }
}
