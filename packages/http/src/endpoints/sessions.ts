import { ConfigurationError, type Family, type RefreshTokens } from '@baton/core'
import { optional, type OptionsOf } from '@baton/core/options'
import { createGuard, hasScope, verifiableAccessTokens } from '../access-tokens/guard.js'
import { clientOptions } from '../clients/authenticate.js'
import { type ClientPolicy, clientPolicy } from '../clients/client-policy.js'
import { defineEndpoint } from '../pipeline/define-endpoint.js'
import { type Endpoint, getPath, type PlainRequest, type PlainResponse, getQuery } from '../messages/message.js'
import { endpointOptions } from '../pipeline/options.js'
import { error, invalidRequest, json, noContent, tooManyRequests } from '../messages/responses.js'
import { dpopField, scopeText } from './shared-options.js'

export const sessionsOptions = endpointOptions.extend({
  /** As at the guard: what `jwtAccessTokens(…)` returns, or a function of your own whose claims have `sid`. */
  accessTokens: verifiableAccessTokens,
  /** As at the guard. */
  dpop: dpopField,
  /** As at the guard. */
  clientCertificates: clientOptions.fields.clientCertificates,
  /**
   * Registered clients. Those with `firstParty` may list and revoke the sessions of their user; so may `first-party`, without a
   * registration. Sessions that the `validAfter` of their client ended are not listed.
   */
  clients: optional(clientOptions.fields.clients.rule),
  /** A space-separated scope with which the tokens of any other client are accepted too. Default: none, so that only first-party clients are. */
  sessionsScope: optional(scopeText()),
})

export type SessionsOptions = OptionsOf<typeof sessionsOptions>

/** The most sessions in one response, and in one call of `tokens.list`. */
const MAX_LISTED = 500
const PAGE = 100

/**
 * Lets users list and revoke their sessions. One endpoint serves four paths, which differ in their ends: `GET …/sessions`,
 * `DELETE …/sessions/:id`, `POST …/logout-others`, `POST …/logout-everywhere`. The access token must belong to a client of your own app, or
 * have the `sessionsScope`; any other is rejected with 403 `insufficient_scope`
 * ([RFC 6750 section 3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)). The session of the access token must be active in the
 * store. Throws `ConfigurationError` for invalid options.
 *
 * @example
 * ```ts
 * import { sessionsEndpoint } from '@baton/http'
 *
 * const sessions = sessionsEndpoint(tokens, { accessTokens })
 * ```
 */
export function sessionsEndpoint(tokens: RefreshTokens, options: SessionsOptions): Endpoint {
  return sessionsEndpointBy(clientPolicy(sessionsOptions.parse('sessionsEndpoint', options)), tokens, options)
}

/** `sessionsEndpoint` with the policy of a server that knows its own clients. */
export function sessionsEndpointBy(policy: ClientPolicy, tokens: RefreshTokens, options: SessionsOptions): Endpoint {
  const resolved = sessionsOptions.parse('sessionsEndpoint', options)
  const { accessTokens, dpop, clientCertificates, sessionsScope: scope, trustProxy, publicUrl, onError, now } = resolved
  const guard = createGuard(
    {
      ...{ checkSession: tokens, accessTokens, dpop, clientCertificates, scope, trustProxy, publicUrl, onError, now },
      // The user opens this page rarely.
      cache: false,
    },
    {
      policy,
      async permits(claims, demanded, family) {
        if (family !== null && (await policy.isFirstParty(family.clientId))) return true
        return demanded.length > 0 && hasScope(claims, demanded)
      },
    },
  )

  const guarded = (method: string, answer: (caller: Family, request: PlainRequest) => Promise<PlainResponse>) =>
    defineEndpoint({
      tokens,
      options: resolved,
      methods: [method],
      acceptsProof: true,
      async respond({ request, limits, counted }) {
        const verdict = await guard(request)
        if (!verdict.ok) return verdict.response
        counted.release()
        if (verdict.family === null)
          throw new ConfigurationError('accessTokens', 'must return claims with sid, got claims without one')
        const exhausted = await limits.countAccountRequest(verdict.family.id)
        if (exhausted !== null) return tooManyRequests(exhausted)
        const response = await answer(verdict.family, request)
        // Every response of an endpoint has Cache-Control already.
        const nonce = verdict.headers.filter(([name]) => name === 'dpop-nonce')
        return { ...response, headers: [...response.headers, ...nonce] }
      },
    })

  const list = guarded('GET', (caller, request) => listSessions({ tokens, policy }, caller, request))
  const end = guarded('DELETE', async (caller, request) => {
    const familyId = lastSegmentOf(request)
    const reason = familyId === caller.id ? 'logout' : 'subject_request'
    const outcome = await tokens.revoke({ familyId, subject: caller.subject, reason })
    // A session of another user and an unknown one get the same response.
    return outcome.ok ? noContent() : notFound()
  })
  const endOthers = guarded('POST', async ({ id, subject }) => {
    await tokens.revokeSubject(subject, { except: id })
    return noContent()
  })
  const endAll = guarded('POST', async ({ subject }) => {
    await tokens.revokeSubject(subject)
    return noContent()
  })

  const routes: readonly (readonly [RegExp, Endpoint])[] = [
    [/\/logout-others\/?$/, endOthers],
    [/\/logout-everywhere\/?$/, endAll],
    [/\/sessions\/?$/, list],
    [/\/sessions\/[^/]+\/?$/, end],
  ]
  return async (request) => {
    const path = getPath(request)
    const [, route] = routes.find(([ending]) => ending.test(path)) ?? []
    return route === undefined ? notFound() : route(request)
  }
}

interface Sessions {
  readonly tokens: RefreshTokens
  readonly policy: ClientPolicy
}

async function listSessions(
  { tokens, policy }: Sessions,
  caller: Family,
  request: PlainRequest,
): Promise<PlainResponse> {
  const query = getQuery(request)
  const limit = Number(query.get('limit') ?? MAX_LISTED)
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LISTED)
    return invalidRequest(`limit is not a whole number from 1 to ${MAX_LISTED}.`)
  const families: Family[] = []
  const from = query.get('cursor')
  let cursor = from
  do {
    const page = await listPage(tokens, caller, { cursor, limit: Math.min(PAGE, limit - families.length) }).catch(
      (failure: unknown) => {
        if (cursor === from && from !== null && failure instanceof ConfigurationError) return null
        throw failure
      },
    )
    if (page === null) return invalidRequest('cursor is not the next of an earlier answer.')
    families.push(...(await policy.filterActive(page.items)))
    cursor = page.cursor
  } while (cursor !== null && families.length < limit)
  return json(200, {
    sessions: families.map((family) => toSession(family, caller)),
    next: cursor ?? undefined,
  })
}

function listPage(
  tokens: RefreshTokens,
  { subject }: Family,
  { cursor, limit }: { readonly cursor: string | null; readonly limit: number },
) {
  return tokens.list({ subject, limit, ...(cursor === null ? {} : { cursor }) })
}

function toSession(family: Family, caller: Family): object {
  const userAgent = family.metadata['userAgent']
  return {
    id: family.id,
    current: family.id === caller.id,
    clientId: family.clientId,
    createdAt: iso(family.createdAt),
    lastUsedAt: iso(family.lastUsedAt),
    expiresAt: iso(family.expiresAt),
    offline: family.offline,
    userAgent: typeof userAgent === 'string' ? userAgent : null,
  }
}

function iso(instant: number): string {
  return new Date(instant).toISOString()
}

function lastSegmentOf(request: PlainRequest): string {
  const segments = getPath(request).split('/')
  return segments.filter((segment) => segment !== '').at(-1) ?? ''
}

function notFound(): PlainResponse {
  return error('not_found', { description: 'There is no such session.' })
}
