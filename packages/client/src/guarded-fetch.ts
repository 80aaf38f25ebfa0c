import type { AccessToken } from './access-token.js'
import { unlessAborted } from './lock.js'
import type { Setup } from './setup.js'

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
  readonly get: (options: { readonly early: boolean }) => Promise<AccessToken>
  /** Another token of the same session, after this one was refused; null where there is none. Never rejects. */
  readonly instead: (refused: AccessToken) => Promise<AccessToken | null>
}

/** A `fetch` that attaches the access token, to the named origins only, and gets over one 401. */
export function guardedFetch({ environment, proofs, get, instead, allowedOrigins }: Setup & TokenSource): GuardedFetch {
  return async (input, init = {}, { replay = false } = {}) => {
    const isAllowed = (url: string) => allowedOrigins.includes(new URL(url).origin)
    const request = new Request(
      input instanceof Request ? input : new URL(input, environment.origin ?? undefined),
      init,
    )
    const { url, method, headers, signal } = request
    // A 401 concerns us only where the token was ours.
    if (!isAllowed(url) || headers.has('authorization')) return environment.fetch(request)
    // What can be read only once has to be announced like this, and only once is it sent.
    const isOneShot = 'duplex' in init

    function send({ accessToken }: AccessToken): Promise<Response> {
      const build = () => {
        // A request is used up by sending it; what may be sent again is copied.
        const copy = isOneShot ? request : request.clone()
        copy.headers.set('authorization', `${proofs.scheme} ${accessToken}`)
        return copy
      }
      return proofs.send(build, { accessToken, isOneShot })
    }

    try {
      const token = await unlessAborted(get({ early: isOneShot }), signal)
      const response = await send(token)
      const challenge = response.headers.get('www-authenticate') ?? ''
      const isOurs = !response.redirected || isAllowed(response.url)
      // Against what is said of a proof, another access token would be of no help.
      if (response.status !== 401 || !isOurs || challenge.includes('_dpop_')) return response
      const other = instead(token)
      const mayReplay = replay || /^(GET|HEAD|OPTIONS)$/.test(method) || challenge.includes('"invalid_token"')
      const renewed = isOneShot || !mayReplay ? null : await unlessAborted(other, signal)
      if (!renewed) return response
      // Nobody will read it, and its connection can carry the next request.
      await response.body?.cancel()
      return await send(renewed)
    } finally {
      // What was kept for a second time may go.
      if (!request.bodyUsed) void request.body?.cancel()
    }
  }
}
