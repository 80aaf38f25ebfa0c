import type { AccessToken } from './access-token.js'
import type { SessionError } from '../platform/errors.js'
import { unlessAborted } from '../platform/lock.js'
import { checkOptions } from '../platform/options.js'
import type { SessionContext } from './context.js'

/** What `session.fetch` is told beside what `fetch` is told. */
export interface FetchOptions {
  /** True where repeating this request does no harm although its method is unsafe and the 401 does not say `invalid_token`. */
  readonly replay?: boolean
}

export type AuthorizedFetch = (
  input: Request | string | URL,
  init?: RequestInit,
  options?: FetchOptions,
) => Promise<Response>

/** Where access tokens come from. */
export interface TokenSource {
  /** Rejects with a `SessionError` where there is none. `early` demands one that is not about to end. */
  readonly getToken: (options: { readonly early: boolean }) => Promise<AccessToken>
  /** Another token of the same session, after this one was rejected; or why there is none. Never rejects. */
  readonly replaceRejected: (rejected: AccessToken) => Promise<AccessToken | SessionError>
}

/** How long a token that was rejected at once is not replaced again. */
const QUIET_MS = 30_000

/** A `fetch` that attaches the access token, to the named origins only, and recovers from one 401. */
export function createAuthorizedFetch({
  environment,
  proofs,
  getToken,
  replaceRejected,
  allowedOrigins,
}: SessionContext & TokenSource): AuthorizedFetch {
  /** By URL without query: the last token that was to replace a rejected one there, until it is accepted. */
  const replacements = new Map<string, { readonly generationId: string; readonly until: number }>()

  return async (input, init = {}, options = {}) => {
    checkOptions(options, {}, { replay: 'boolean' })
    const isAllowed = (url: string) => allowedOrigins.some((origin) => url.startsWith(origin))
    const request = new Request(input, init)
    const { url, method, headers, signal } = request
    // A 401 concerns us only where the token was ours.
    if (!isAllowed(url) || headers.has('authorization')) return environment.fetch(request)
    // What can be read only once has to be announced like this, and only once is it sent.
    const isOneShot = 'duplex' in init

    const [place = ''] = url.split(/[?#]/)

    async function send({ accessToken }: AccessToken): Promise<Response> {
      const build = () => {
        // A request is used up by sending it; what may be sent again is copied.
        const copy = isOneShot ? request : request.clone()
        copy.headers.set('authorization', `${proofs.scheme} ${accessToken}`)
        return copy
      }
      const response = await proofs.send(build, { accessToken, isOneShot })
      if (response.status !== 401) replacements.delete(place)
      return response
    }

    try {
      const token = await unlessAborted(getToken({ early: isOneShot }), signal)
      const response = await send(token)
      const challenge = response.headers.get('www-authenticate') ?? ''
      const isOurs = !response.redirected || isAllowed(response.url)
      // Against what is said of a proof, another access token would be of no help.
      if (response.status !== 401 || !isOurs || challenge.includes('_dpop_')) return response
      const last = replacements.get(place)
      // This one has just replaced a rejected token: another one would fare no better.
      if (last?.generationId === token.generationId && environment.elapsed() < last.until) return response
      const other = replaceRejected(token).then((renewed) => {
        const now = environment.elapsed()
        for (const [old, { until }] of replacements) if (until <= now) replacements.delete(old)
        if ('generationId' in renewed) replacements.set(place, { ...renewed, until: now + QUIET_MS })
        return renewed
      })
      const mayReplay = options.replay || /^(GET|HEAD|OPTIONS)$/.test(method) || challenge.includes('"invalid_token"')
      if (isOneShot || !mayReplay) return response
      const renewed = await unlessAborted(other, signal)
      // Signed out is what the 401 says; an outage is not.
      if ('code' in renewed && renewed.code === 'signed_out') return response
      // Its connection can carry the next request.
      await response.body?.cancel()
      if ('code' in renewed) throw renewed
      return await send(renewed)
    } finally {
      // What was kept for a second time may go.
      if (!request.bodyUsed) void request.body?.cancel()
    }
  }
}
