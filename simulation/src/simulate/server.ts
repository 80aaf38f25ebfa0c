import { type Confirmation, createRefreshTokens, type Family, type ForeignGrant, type RefreshTokens } from '@baton/core'
import {
  type AccessTokenOption,
  type AuthorizationCodes,
  authorizationCodes,
  type DpopOptions,
  type Endpoint,
  loginEndpoint,
  logoutEndpoint,
  type PlainRequest,
  type PlainResponse,
  refreshEndpoint,
  revocationEndpoint,
} from '@baton/http'
import { type Chances, chancesOf } from './chances.js'
import type { Chronicle } from './chronicle.js'
import type { VirtualClock } from './clock.js'
import type { Plan } from './plan.js'
import { claimsIn } from './prover.js'
import { type SimulatedStore, simulatedStore } from './store.js'
import type { Answer, Visit } from './visit.js'

export const ORIGIN = 'https://app.example'
export const CLIENT = 'app'
const SECRET = 'the secret of the simulation, 48 bytes and more.'
const CODE_SECRET = 'the secret of the codes, which is 48 bytes long.'
const NONCE_SECRET = 'the secret of the nonces, which is as long as it.'
const CODE_SECONDS = 60

export interface ServerWorld {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly chronicle: Chronicle
}

interface Arrival {
  readonly request: PlainRequest
  /** It comes from somebody who stole a token and says that he is another client. */
  readonly pretends: boolean
  readonly isStray: () => boolean
}

/** What the authorize page has found out. */
export interface CodeWanted {
  readonly subject: string
  readonly codeChallenge: string
  /** `dpop_jkt`, or null. */
  readonly confirmation: Confirmation | null
}

export interface Server {
  /** Answers one request, at one of the processes. */
  serve(arrival: Arrival): Promise<PlainResponse>
  /** Hands out a code. */
  authorize(wanted: CodeWanted): string
  /** What an administrator does, on the first process. */
  asAdministrator<Outcome>(work: (tokens: RefreshTokens) => Promise<Outcome>): Promise<Outcome>
  readonly store: SimulatedStore
  /** The key service answers nothing for so long. */
  failKeys(ms: number): void
  heal(): void
  /** Another system's tokens that are not exchanged yet. */
  readonly foreign: Map<string, ForeignGrant>
}

/**
 * The real core and the real endpoints, at processes whose clocks disagree, on one simulated store. A process serves each request at
 * a desk of its own, with a core that nobody else uses meanwhile, which tells whose store calls are whose.
 */
export function createServer({ plan, clock, chronicle }: ServerWorld): Server {
  const chances = chancesOf(`${plan.seed}/server`)
  const store = simulatedStore({ plan, clock, chronicle, chances: chancesOf(`${plan.seed}/store`) })
  const foreign = new Map<string, ForeignGrant>()
  const keys = { outUntil: 0, made: 0 }
  const failing = plan.failingCallbacks
  const processes = plan.skewsMs.map((skewMs, index): Process => {
    const randomness = chancesOf(`${plan.seed}/randomness of process ${String(index)}`)
    const fraction = plan.fractions ? (index + 1) / 7 : 0
    return { now: () => clock.now() + skewMs + fraction, random: (size) => randomness.bytes(size), free: [] }
  }) as [Process, ...Process[]]

  const deskAt = (process: Process) => process.free.pop() ?? furnish(process)

  function furnish({ now, random }: Process): Desk {
    const { grace, graceSeconds, idleSeconds, absoluteSeconds } = plan
    const desk = { visit: nobody(), settle: (): void => undefined }
    const tokens = createRefreshTokens({
      store: store.storeAt(desk),
      secrets: [SECRET],
      policy: { grace, graceSeconds, idleSeconds, absoluteSeconds },
      storeTimeoutSeconds: null,
      now,
      random,
      onEvent: (event) => {
        chronicle.note(now(), JSON.stringify(event))
        chronicle.reported(desk.visit, event)
        return failing ? Promise.reject(new Error('the audit log is full')) : undefined
      },
      accept: {
        identify: (token) => (token.startsWith('foreign-token') ? token : null),
        find: async (token) => foreign.get(token) ?? null,
        moved: async (token) => {
          if (failing && chances.happens(0.5)) throw new Error('the old system is down')
          foreign.delete(token)
        },
      },
    })
    const accessToken = accessTokens({ plan, clock, chances, desk, keys })
    const codes = authorizationCodes(tokens, {
      issuer: ORIGIN,
      secrets: [CODE_SECRET],
      lifetimeSeconds: CODE_SECONDS,
    })
    return Object.assign(desk, {
      tokens,
      codes,
      endpointAt: endpointsOf({ plan, tokens, codes, accessToken, now }),
    })
  }

  function nobody(): Visit {
    const nothing = { purpose: 'other', text: null, key: null, proof: null, pretends: false } as const
    return chronicle.visit({ ...nothing, isStray: () => false, arrivedAt: clock.now() })
  }

  /** At whichever process comes, and a desk of it where nobody stands. */
  async function atDesk<Outcome>(visit: Visit, work: (desk: Desk) => Promise<Outcome>): Promise<Outcome> {
    const process = chances.oneOf(processes)
    const desk = deskAt(process)
    desk.visit = visit
    const outcome = await work(desk)
    process.free.push(desk)
    return outcome
  }

  return {
    store,
    foreign,
    async serve({ request, pretends, isStray }) {
      const carried = await carriedBy(request)
      const visit = chronicle.visit({ ...carried, pretends, isStray, arrivedAt: clock.now() })
      const response = await atDesk(visit, async (desk) => {
        // The platform checks signatures on threads of its own; the store is asked after that, or an answer given.
        const release = visit.proof === null ? () => undefined : clock.hold()
        desk.settle = () => {
          desk.settle = () => undefined
          release()
        }
        const given = await desk.endpointAt(request.url)(request)
        desk.settle()
        return given
      })
      const answer = answerOf(response, clock.now())
      chronicle.note(clock.now(), `${request.url} ${String(answer.status)} ${visit.reason ?? ''}`)
      chronicle.answered(visit, answer)
      return response
    },
    authorize({ subject, codeChallenge, confirmation }) {
      const [process] = processes
      const desk = deskAt(process)
      const code = desk.codes.issue({ subject, clientId: CLIENT, redirectUri: null, codeChallenge, confirmation })
      process.free.push(desk)
      chronicle.noteCode(code, { confirmation, expiresAt: process.now() + CODE_SECONDS * 1000 })
      return code
    },
    asAdministrator(work) {
      return atDesk(nobody(), ({ tokens }) => work(tokens))
    },
    failKeys(ms) {
      keys.outUntil = clock.now() + ms
    },
    heal() {
      keys.outUntil = 0
      store.heal()
    },
  }
}

interface Process {
  readonly now: () => number
  readonly random: (size: number) => Uint8Array
  /** Desks where nobody stands. */
  readonly free: Desk[]
}

/** Where one request at a time is served. */
interface Desk {
  visit: Visit
  /** Lets the clock go on. */
  settle: () => void
  readonly tokens: RefreshTokens
  readonly codes: AuthorizationCodes
  readonly endpointAt: (url: string) => Endpoint
}

interface EndpointWorld {
  readonly plan: Plan
  readonly tokens: RefreshTokens
  readonly codes: AuthorizationCodes
  readonly accessToken: AccessTokenOption
  readonly now: () => number
}

function endpointsOf(world: EndpointWorld): Desk['endpointAt'] {
  const made = new Map<string, Endpoint>()
  return (url) => {
    const endpoint = made.get(url) ?? endpointAt(url, world)
    made.set(url, endpoint)
    return endpoint
  }
}

function endpointAt(url: string, { plan, tokens, codes, accessToken, now }: EndpointWorld): Endpoint {
  const fail = () => Promise.reject(new Error('the error tracker is down'))
  const shared = { rateLimit: false, now, onError: plan.failingCallbacks ? fail : () => undefined } as const
  const clients = [{ clientId: CLIENT }, { clientId: 'another' }]
  switch (url) {
    case '/login': {
      const authenticate = async ({ username }: Readonly<Record<string, unknown>>) => ({ subject: String(username) })
      return plan.carrier === 'cookie'
        ? loginEndpoint(tokens, { accessToken, authenticate, cookie: true, ...shared })
        : loginEndpoint(tokens, { accessToken, authenticate, defaults: { clientId: CLIENT }, ...shared })
    }
    case '/oauth/token':
      return refreshEndpoint(tokens, { accessToken, clients, codes, dpop: dpopOf(plan), ...shared })
    case '/oauth/revoke':
      return revocationEndpoint(tokens, { clients, dpop: dpopOf(plan), ...shared })
    case '/auth/refresh':
      return refreshEndpoint(tokens, { accessToken, cookie: true, ...shared })
    case '/auth/logout':
      return logoutEndpoint(tokens, { cookie: true, ...shared })
    default:
      throw new Error(`nothing is served at ${url}`)
  }
}

function dpopOf({ proofs }: Plan): DpopOptions {
  return proofs === 'with nonces' ? { nonce: { secrets: [NONCE_SECRET], required: true } } : {}
}

interface KeyWorld {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly chances: Chances
  readonly desk: { readonly visit: Visit }
  readonly keys: { readonly outUntil: number; made: number }
}

/** Made here in no time, or by a service that is slow at times and out at others. */
function accessTokens({ plan, clock, chances, desk, keys }: KeyWorld): AccessTokenOption {
  const make = (family: Family, mostSeconds: number) => {
    keys.made += 1
    return { accessToken: `at.${String(keys.made)}.${family.id}`, expiresIn: Math.min(plan.accessSeconds, mostSeconds) }
  }
  if (!plan.keyService)
    return {
      issuer: ORIGIN,
      lifetimeSeconds: plan.accessSeconds,
      mint: async ({ family, mostSeconds }) => make(family, mostSeconds),
      verify: async () => null,
      read: async () => null,
    }
  return async ({ family, mostSeconds }) => {
    const { visit } = desk
    await clock.sleep(chances.happens(0.1) ? chances.between(1000, 4000) : chances.between(5, 50))
    if (clock.now() >= keys.outUntil) return make(family, mostSeconds)
    visit.hurt = true
    throw new Error('the key service is out')
  }
}

/** What the world outside can see of a request: what it shows, and how. */
async function carriedBy(request: PlainRequest): Promise<Pick<Visit, 'purpose' | 'text' | 'key' | 'proof'>> {
  const [key = null] = request.headers['idempotency-key'] ?? []
  const [header] = request.headers['dpop'] ?? []
  const common = { key, proof: header === undefined ? null : claimsIn(header) }
  if (request.url === '/auth/refresh') return { purpose: 'refresh', text: cookieIn(request), ...common }
  if (request.url !== '/oauth/token' || request.body.kind !== 'stream')
    return { purpose: 'other', text: null, ...common }
  const form = new URLSearchParams(Buffer.from((await request.body.read(65_536)) ?? []).toString())
  const code = form.get('code')
  return code === null
    ? { purpose: 'refresh', text: form.get('refresh_token'), ...common }
    : { purpose: 'code', text: code, ...common }
}

function cookieIn({ headers }: PlainRequest): string | null {
  return /__Host-baton=([^;]+)/.exec(headers['cookie']?.[0] ?? '')?.[1] ?? null
}

export function refreshTokenIn({ headers, body }: PlainResponse): string | null {
  // The cookie in use comes last, after the one that expires its other variant.
  const cookie = headers.filter(([name]) => name === 'set-cookie').at(-1)?.[1]
  if (cookie !== undefined) return /^__Host-baton=([^;]+)/.exec(cookie)?.[1] ?? null
  const members = (body === null ? {} : JSON.parse(body)) as { refresh_token?: string }
  return members.refresh_token ?? null
}

function answerOf(response: PlainResponse, at: number): Answer {
  const { status, headers, body } = response
  const members = (body === null ? {} : JSON.parse(body)) as { error?: string }
  return {
    at,
    status,
    error: members.error ?? null,
    refreshToken: refreshTokenIn(response),
    retryAfter: headers.find(([name]) => name === 'retry-after')?.[1] ?? null,
    nonce: headers.find(([name]) => name === 'dpop-nonce')?.[1] ?? null,
    touchesCookie: status !== 200 && headers.some(([name]) => name === 'set-cookie'),
  }
}
