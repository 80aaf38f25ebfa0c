import type { AccessToken } from './access-token.js'
import type { SessionError } from '../platform/errors.js'
import { unlessAborted } from '../platform/lock.js'
import { checkOptions } from '../platform/options.js'
import type { SessionContext } from './context.js'

/** Options of `session.fetch` besides those of `fetch`. */
export interface FetchOptions {
  /** True if this request may be repeated although its method is not safe and the 401 does not contain `invalid_token`. */
  readonly replay?: boolean
}

export type AuthorizedFetch = (
  input: Request | string | URL,
  init?: RequestInit,
  options?: FetchOptions,
) => Promise<Response>

/** Provides access tokens. */
export interface TokenSource {
  /** Rejects with a `SessionError` if there is no token. With `early` the token is not about to expire. */
  readonly getToken: (options: { readonly early: boolean }) => Promise<AccessToken>
  /** Returns another token of the same session after this one was rejected, or an error. Never rejects. */
  readonly replaceRejected: (rejected: AccessToken) => Promise<AccessToken | SessionError>
}

/** A token that was rejected immediately is not replaced again for this long. */
const REPLACEMENT_PAUSE_MS = 30_000

/** Returns a `fetch` that attaches the access token for allowed origins and handles one 401. */
export function createAuthorizedFetch({
  environment,
  proofs,
  getToken,
  replaceRejected,
  allowedOrigins,
}: SessionContext & TokenSource): AuthorizedFetch {
  /** By URL without query: the last token that replaced a rejected one, until a request there succeeds. */
  const replacements = new Map<string, { readonly generationId: string; readonly until: number }>()

  return async (input, init = {}, options = {}) => {
    checkOptions(options, {}, { replay: 'boolean' })
    const isAllowed = (url: string) => allowedOrigins.some((origin) => url.startsWith(origin))
    const request = new Request(input, init)
    const { url, method, headers, signal } = request
    // A 401 for the caller's own `authorization` header is not handled.
    if (!isAllowed(url) || headers.has('authorization')) return environment.fetch(request)
    // Streaming bodies require `duplex` and can be sent once only.
    const isOneShot = 'duplex' in init

    const [place = ''] = url.split(/[?#]/)

    async function send({ accessToken }: AccessToken): Promise<Response> {
      const build = () => {
        // Sending consumes a request, so a request that may be repeated is cloned.
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
      // Another access token does not fix an invalid DPoP proof.
      if (response.status !== 401 || !isOurs || challenge.includes('_dpop_')) return response
      const last = replacements.get(place)
      // The token replaced a rejected one a moment ago; another token would be rejected as well.
      if (last?.generationId === token.generationId && environment.elapsed() < last.until) return response
      const other = replaceRejected(token).then((renewed) => {
        const now = environment.elapsed()
        for (const [old, { until }] of replacements) if (until <= now) replacements.delete(old)
        if ('generationId' in renewed) replacements.set(place, { ...renewed, until: now + REPLACEMENT_PAUSE_MS })
        return renewed
      })
      const mayReplay = options.replay || /^(GET|HEAD|OPTIONS)$/.test(method) || challenge.includes('"invalid_token"')
      if (isOneShot || !mayReplay) return response
      const renewed = await unlessAborted(other, signal)
      // If the user is signed out, the caller gets the 401. Other errors are thrown.
      if ('code' in renewed && renewed.code === 'signed_out') return response
      // Frees the connection for the next request.
      await response.body?.cancel()
      if ('code' in renewed) throw renewed
      return await send(renewed)
    } finally {
      // Frees the copy that was kept for a repetition.
      if (!request.bodyUsed) void request.body?.cancel()
    }
  }
}
