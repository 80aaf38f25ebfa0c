import type { AccessToken } from './access-token.js'
import type { Environment } from './environment.js'
import { unlessAborted } from './lock.js'
import type { Proofs } from './proofs.js'

/** What `session.fetch` is told beside what `fetch` is told. */
export interface FetchOptions {
  /** True where repeating this request does no harm although its method is unsafe and the 401 does not say `invalid_token`. */
  readonly replay?: boolean
}

export type GuardedFetch = (
  input: Request | string | URL,
  init?: RequestInit,
  options?: FetchOptions,
) => Promise<Response>

/** Where access tokens come from. */
export interface TokenSource {
  /** Rejects with a `SessionError` where there is none. `early` demands one that is not about to end. */
  get(options: { readonly early: boolean }): Promise<AccessToken>
  /** Another token of the same session, after this one was refused; null where there is none. Never rejects. */
  instead(refused: AccessToken): Promise<AccessToken | null>
}

export interface GuardedFetchOptions {
  readonly environment: Environment
  readonly proofs: Proofs | null
  readonly tokens: TokenSource
  /** Where tokens may go. */
  readonly origins: ReadonlySet<string>
}

const SAFE_METHODS: readonly string[] = ['GET', 'HEAD', 'OPTIONS']

/** A `fetch` that attaches the access token, to the named origins only, and gets over one 401. */
export function guardedFetch({ environment, proofs, tokens, origins }: GuardedFetchOptions): GuardedFetch {
  return async (input, init = {}, { replay = false } = {}) => {
    const given = input instanceof Request ? input : null
    const url = new URL(input instanceof Request ? input.url : input, environment.origin ?? undefined)
    const ownHeaders = new Headers(init.headers ?? given?.headers)
    // A 401 concerns us only where the token was ours.
    if (!origins.has(url.origin) || ownHeaders.has('authorization')) return environment.fetch(input, init)

    const method = (init.method ?? given?.method ?? 'GET').toUpperCase()
    const signal = init.signal ?? given?.signal
    const isOneShot = isStream(init.body)
    const isOurs = ({ redirected, url: from }: Response) => !redirected || origins.has(new URL(from).origin)

    /** A request is used up by sending it; what may be sent again is copied. */
    function build(): Request {
      const source = given === null ? url : isOneShot || given.bodyUsed ? given : given.clone()
      return new Request(source, init)
    }

    async function sendOnce(token: AccessToken): Promise<Response> {
      const request = build()
      request.headers.set('authorization', `${proofs === null ? 'Bearer' : 'DPoP'} ${token.value}`)
      if (proofs !== null)
        request.headers.set(
          'dpop',
          await proofs.prove({ method: request.method, url: url.href, accessToken: token.value }),
        )
      const response = await environment.fetch(request)
      const nonce = response.headers.get('dpop-nonce')
      if (nonce !== null && isOurs(response)) proofs?.remember(url.href, nonce)
      return response
    }

    async function send(token: AccessToken): Promise<Response> {
      const response = await sendOnce(token)
      if (proofs === null || isOneShot || !challenges(response, 'use_dpop_nonce')) return response
      return afterwards(response, () => sendOnce(token))
    }

    async function exchange(): Promise<Response> {
      const token = await unlessAborted(tokens.get({ early: isOneShot }), signal)
      const response = await send(token)
      if (response.status !== 401 || !isOurs(response) || faultsProof(response)) return response
      const other = tokens.instead(token)
      const mayReplay = replay || SAFE_METHODS.includes(method) || challenges(response, 'invalid_token')
      if (isOneShot || !mayReplay) return response
      const renewed = await unlessAborted(other, signal)
      return renewed === null ? response : afterwards(response, () => send(renewed))
    }

    try {
      return await exchange()
    } finally {
      // As after any fetch, its body is used up; what was kept for a second time may go.
      if (given?.body !== null && given?.bodyUsed === false) void given.body.cancel()
    }
  }
}

/** Lets go of an answer that nobody will read, so that its connection can carry the next request. */
async function afterwards(response: Response, send: () => Promise<Response>): Promise<Response> {
  await response.body?.cancel()
  return send()
}

function challenges({ status, headers }: Response, error: string): boolean {
  return status === 401 && (headers.get('www-authenticate') ?? '').includes(`error="${error}"`)
}

/** Another access token would be of no help. */
function faultsProof(response: Response): boolean {
  return challenges(response, 'use_dpop_nonce') || challenges(response, 'invalid_dpop_proof')
}

/** What can be read only once. */
function isStream(body: unknown): boolean {
  return typeof body === 'object' && body !== null && ('getReader' in body || Symbol.asyncIterator in body)
}
