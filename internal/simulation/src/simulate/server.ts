import { type Confirmation, createRefreshTokens, type Family, type LegacyGrant, type RefreshTokens } from '@baton/core'
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
  tokenEndpoint,
  revocationEndpoint,
} from '@baton/http'
import { type Rng, createRng } from './rng.js'
import type { Recorder } from './recorder.js'
import type { VirtualClock } from './clock.js'
import type { Plan } from './plan.js'
import { decodeClaims } from './prover.js'
import { type SimulatedStore, createSimulatedStore } from './store.js'
import type { ResponseSummary, RequestTrace } from './trace.js'

export const ORIGIN = 'https://app.example'
export const CLIENT = 'app'
const SECRET = 'the secret of the simulation, 48 bytes and more.'
const CODE_SECRET = 'the secret of the codes, which is 48 bytes long.'
const NONCE_SECRET = 'the secret of the nonces, which is as long as it.'
const CODE_SECONDS = 60

export interface ServerWorld {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly recorder: Recorder
}

interface Arrival {
  readonly request: PlainRequest
  /** The request comes from another client, or lacks the verifier or the key. */
  readonly impersonates: boolean
  readonly isOrphaned: () => boolean
}

/** The result of the authorization page. */
export interface CodeRequest {
  readonly subject: string
  readonly codeChallenge: string
  /** `dpop_jkt`, or null. */
  readonly confirmation: Confirmation | null
}

export interface Server {
  /** Serves one request at one of the processes. */
  serve(arrival: Arrival): Promise<PlainResponse>
  /** Issues a code. */
  authorize(wanted: CodeRequest): string
  /** Runs an administrative operation on the first free process. */
  asAdministrator<Outcome>(work: (tokens: RefreshTokens) => Promise<Outcome>): Promise<Outcome>
  readonly store: SimulatedStore
  /** The key service is unavailable for this time. */
  failKeys(ms: number): void
  disableFaults(): void
  /** Legacy tokens that have not been exchanged yet. */
  readonly legacyTokens: Map<string, LegacyGrant>
}

/**
 * Creates a server from the real core and endpoints: several processes with different clocks on one simulated store. A
 * process serves each request in its own slot, with a core that no other request uses, so that each store call belongs
 * to a known request.
 */
export function createServer({ plan, clock, recorder }: ServerWorld): Server {
  const rng = createRng(`${plan.seed}/server`)
  const store = createSimulatedStore({ plan, clock, recorder, rng: createRng(`${plan.seed}/store`) })
  const legacyTokens = new Map<string, LegacyGrant>()
  const keys = { outUntil: 0, made: 0 }
  const failing = plan.failingCallbacks
  const processes = plan.skewsMs.map((skewMs, index): Process => {
    const randomness = createRng(`${plan.seed}/randomness of process ${String(index)}`)
    const fraction = plan.fractions ? (index + 1) / 7 : 0
    return { now: () => clock.now() + skewMs + fraction, random: (size) => randomness.bytes(size), free: [] }
  }) as [Process, ...Process[]]

  const acquireSlot = (process: Process) => process.free.pop() ?? createSlot(process)

  function createSlot({ now, random }: Process): RequestSlot {
    const { grace, graceSeconds, idleSeconds, absoluteSeconds } = plan
    const slot = { trace: createInternalTrace(), resumeClock: (): void => undefined }
    const tokens = createRefreshTokens({
      store: store.storeFor(slot),
      secrets: [SECRET],
      policy: { grace, graceSeconds, idleSeconds, absoluteSeconds },
      storeTimeoutSeconds: null,
      now,
      random,
      onEvent: (event) => {
        recorder.note(now(), JSON.stringify(event))
        recorder.eventEmitted(slot.trace, event)
        return failing ? Promise.reject(new Error('the audit log is full')) : undefined
      },
      legacyTokens: {
        normalize: (token) => (token.startsWith('foreign-token') ? token : null),
        lookup: async (token) => legacyTokens.get(token) ?? null,
        onMigrated: async (token) => {
          if (failing && rng.chance(0.5)) throw new Error('the old system is down')
          legacyTokens.delete(token)
        },
      },
    })
    const accessTokens = createAccessTokens({ plan, clock, rng, slot, keys })
    const codes = authorizationCodes(tokens, {
      issuer: ORIGIN,
      secrets: [CODE_SECRET],
      lifetimeSeconds: CODE_SECONDS,
    })
    return Object.assign(slot, {
      tokens,
      codes,
      getEndpoint: createEndpoints({ plan, tokens, codes, accessTokens, now }),
    })
  }

  function createInternalTrace(): RequestTrace {
    const nothing = { purpose: 'other', text: null, key: null, proof: null, impersonates: false } as const
    return recorder.startTrace({ ...nothing, isOrphaned: () => false, arrivedAt: clock.now() })
  }

  /** Runs work in a free slot of a random process. */
  async function withSlot<Outcome>(
    trace: RequestTrace,
    work: (slot: RequestSlot) => Promise<Outcome>,
  ): Promise<Outcome> {
    const process = rng.pick(processes)
    const slot = acquireSlot(process)
    slot.trace = trace
    const outcome = await work(slot)
    process.free.push(slot)
    return outcome
  }

  return {
    store,
    legacyTokens,
    async serve({ request, impersonates, isOrphaned }) {
      const parsed = await parseRequest(request)
      const trace = recorder.startTrace({ ...parsed, impersonates, isOrphaned, arrivedAt: clock.now() })
      const response = await withSlot(trace, async (slot) => {
        // The platform verifies signatures on its own threads. The clock resumes with the first store call or the
        // response.
        const release = trace.proof === null ? () => undefined : clock.hold()
        slot.resumeClock = () => {
          slot.resumeClock = () => undefined
          release()
        }
        const given = await slot.getEndpoint(request.url)(request)
        slot.resumeClock()
        return given
      })
      const summary = summarizeResponse(response, clock.now())
      recorder.note(clock.now(), `${request.url} ${String(summary.status)} ${trace.reason ?? ''}`)
      recorder.responseSent(trace, summary)
      return response
    },
    authorize({ subject, codeChallenge, confirmation }) {
      const [process] = processes
      const slot = acquireSlot(process)
      const code = slot.codes.issue({ subject, clientId: CLIENT, redirectUri: null, codeChallenge, confirmation })
      process.free.push(slot)
      recorder.noteCode(code, { confirmation, expiresAt: process.now() + CODE_SECONDS * 1000 })
      return code
    },
    asAdministrator(work) {
      return withSlot(createInternalTrace(), ({ tokens }) => work(tokens))
    },
    failKeys(ms) {
      keys.outUntil = clock.now() + ms
    },
    disableFaults() {
      keys.outUntil = 0
      store.disableFaults()
    },
  }
}

interface Process {
  readonly now: () => number
  readonly random: (size: number) => Uint8Array
  /** Unused slots. */
  readonly free: RequestSlot[]
}

/** A core and endpoints that serve one request at a time. */
interface RequestSlot {
  trace: RequestTrace
  /** Lets the clock advance again. */
  resumeClock: () => void
  readonly tokens: RefreshTokens
  readonly codes: AuthorizationCodes
  readonly getEndpoint: (url: string) => Endpoint
}

interface EndpointWorld {
  readonly plan: Plan
  readonly tokens: RefreshTokens
  readonly codes: AuthorizationCodes
  readonly accessTokens: AccessTokenOption
  readonly now: () => number
}

function createEndpoints(world: EndpointWorld): RequestSlot['getEndpoint'] {
  const made = new Map<string, Endpoint>()
  return (url) => {
    const endpoint = made.get(url) ?? getEndpoint(url, world)
    made.set(url, endpoint)
    return endpoint
  }
}

function getEndpoint(url: string, { plan, tokens, codes, accessTokens, now }: EndpointWorld): Endpoint {
  const fail = () => Promise.reject(new Error('the error tracker is down'))
  const shared = { rateLimit: false, now, onError: plan.failingCallbacks ? fail : () => undefined } as const
  const clients = [{ clientId: CLIENT }, { clientId: 'another' }]
  switch (url) {
    case '/login': {
      const authenticate = async ({ username }: Readonly<Record<string, unknown>>) => ({ subject: String(username) })
      return plan.carrier === 'cookie'
        ? loginEndpoint(tokens, { accessTokens, authenticate, cookie: true, ...shared })
        : loginEndpoint(tokens, { accessTokens, authenticate, defaults: { clientId: CLIENT }, ...shared })
    }
    case '/oauth/token':
      return tokenEndpoint(tokens, { accessTokens, clients, codes, dpop: createDpopOptions(plan), ...shared })
    case '/oauth/revoke':
      return revocationEndpoint(tokens, { clients, dpop: createDpopOptions(plan), ...shared })
    case '/auth/refresh':
      return refreshEndpoint(tokens, { accessTokens, cookie: true, ...shared })
    case '/auth/logout':
      return logoutEndpoint(tokens, { cookie: true, ...shared })
    default:
      throw new Error(`no endpoint at ${url}`)
  }
}

function createDpopOptions({ proofs }: Plan): DpopOptions {
  return proofs === 'with nonces' ? { nonce: { secrets: [NONCE_SECRET], required: true } } : {}
}

interface KeyWorld {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly rng: Rng
  readonly slot: { readonly trace: RequestTrace }
  readonly keys: { readonly outUntil: number; made: number }
}

/** Access tokens are created instantly, or by a service that is sometimes slow or unavailable. */
function createAccessTokens({ plan, clock, rng, slot, keys }: KeyWorld): AccessTokenOption {
  const make = (family: Family, maxLifetimeSeconds: number) => {
    keys.made += 1
    return {
      accessToken: `at.${String(keys.made)}.${family.id}`,
      expiresIn: Math.min(plan.accessSeconds, maxLifetimeSeconds),
    }
  }
  if (!plan.keyService)
    return {
      issuer: ORIGIN,
      lifetimeSeconds: plan.accessSeconds,
      mint: async ({ family, maxLifetimeSeconds }) => make(family, maxLifetimeSeconds),
      verify: async () => null,
      read: async () => null,
    }
  return async ({ family, maxLifetimeSeconds }) => {
    const { trace } = slot
    await clock.sleep(rng.chance(0.1) ? rng.between(1000, 4000) : rng.between(5, 50))
    if (clock.now() >= keys.outUntil) return make(family, maxLifetimeSeconds)
    trace.faultInjected = true
    throw new Error('the key service is unavailable')
  }
}

/** Reads the presented token or code, the Idempotency-Key and the proof from a request. */
async function parseRequest(request: PlainRequest): Promise<Pick<RequestTrace, 'purpose' | 'text' | 'key' | 'proof'>> {
  const [key = null] = request.headers['idempotency-key'] ?? []
  const [header] = request.headers['dpop'] ?? []
  const common = { key, proof: header === undefined ? null : decodeClaims(header) }
  if (request.url === '/auth/refresh') return { purpose: 'refresh', text: findCookie(request), ...common }
  if (request.url !== '/oauth/token' || request.body.kind !== 'stream')
    return { purpose: 'other', text: null, ...common }
  const form = new URLSearchParams(Buffer.from((await request.body.read(65_536)) ?? []).toString())
  const code = form.get('code')
  return code === null
    ? { purpose: 'refresh', text: form.get('refresh_token'), ...common }
    : { purpose: 'code', text: code, ...common }
}

function findCookie({ headers }: PlainRequest): string | null {
  return /__Host-baton=([^;]+)/.exec(headers['cookie']?.[0] ?? '')?.[1] ?? null
}

export function findRefreshToken({ headers, body }: PlainResponse): string | null {
  // The current cookie comes last, after the header that expires the other variant.
  const cookie = headers.filter(([name]) => name === 'set-cookie').at(-1)?.[1]
  if (cookie !== undefined) return /^__Host-baton=([^;]+)/.exec(cookie)?.[1] ?? null
  const members = (body === null ? {} : JSON.parse(body)) as { refresh_token?: string }
  return members.refresh_token ?? null
}

function summarizeResponse(response: PlainResponse, at: number): ResponseSummary {
  const { status, headers, body } = response
  const members = (body === null ? {} : JSON.parse(body)) as { error?: string }
  return {
    at,
    status,
    error: members.error ?? null,
    refreshToken: findRefreshToken(response),
    retryAfter: headers.find(([name]) => name === 'retry-after')?.[1] ?? null,
    nonce: headers.find(([name]) => name === 'dpop-nonce')?.[1] ?? null,
    touchesCookie: status !== 200 && headers.some(([name]) => name === 'set-cookie'),
  }
}
