import { type Family, MisuseError, type RefreshTokens } from '@baton/core'
import { accessTokenGuard, type AccessTokenGuardOptions } from '../access-tokens/guard.js'
import type { CertificateSource } from '../clients/certificate.js'
import type { DpopOptions } from '../dpop/dpop.js'
import { demandKnown, endpoint } from '../endpoint.js'
import { type Endpoint, pathOf, type PlainRequest, type PlainResponse, queryOf } from '../message.js'
import type { EndpointOptions } from '../options.js'
import { error, invalidRequest, json, noContent } from '../respond.js'

export interface SessionsOptions extends EndpointOptions {
  /** As at the guard: `jwtAccessTokens(…)`, or a function of your own whose claims have `sid`. */
  readonly verify: AccessTokenGuardOptions['verify']
  /** As at the guard. */
  readonly dpop?: DpopOptions
  /** As at the guard. */
  readonly clientCertificates?: CertificateSource
}

const GUARDING = ['verify', 'dpop', 'clientCertificates']

/** How many sessions one answer lists, and how many `tokens.list` gives at a time. */
const MOST_LISTED = 500
const PAGE = 100

/**
 * Lets people see and end their sessions. One endpoint for four paths, told apart by how they end: `GET …/sessions`,
 * `DELETE …/sessions/:id`, `POST …/logout-others`, `POST …/logout-everywhere`. The caller's own session has to be alive in the
 * store: an access token that outlived its session ends nobody else's. Throws `MisuseError`.
 */
export function sessionsEndpoint(tokens: RefreshTokens, options: SessionsOptions): Endpoint {
  demandKnown(options, [...GUARDING, 'rateLimit', 'trustProxy', 'publicUrl', 'onError', 'now'])
  const { rateLimit: _counted, ...guarding } = options
  const { verify: _verify, dpop: _dpop, clientCertificates: _certificates, ...shared } = options
  const guard = accessTokenGuard({ tokens, ...guarding })

  const guarded = (method: string, answer: (caller: Family, request: PlainRequest) => Promise<PlainResponse>) =>
    endpoint({
      tokens,
      options: shared,
      ownOptions: [],
      methods: [method],
      async answer({ request }) {
        const verdict = await guard(request)
        if (!verdict.ok) return verdict.response
        if (verdict.family === null) throw new MisuseError('verify', 'let a token pass without its session')
        const response = await answer(verdict.family, request)
        // Cache-Control is on all of ours.
        const nonce = verdict.headers.filter(([name]) => name === 'dpop-nonce')
        return { ...response, headers: [...response.headers, ...nonce] }
      },
    })

  const list = guarded('GET', (caller, request) => listSessions(tokens, caller, request))
  const end = guarded('DELETE', async (caller, request) => {
    const familyId = lastSegmentOf(request)
    const reason = familyId === caller.id ? 'logout' : 'subject_request'
    const outcome = await tokens.revoke({ familyId, subject: caller.subject, reason })
    // Somebody else's session and one that never was look the same.
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
    const path = pathOf(request)
    const [, route] = routes.find(([ending]) => ending.test(path)) ?? []
    return route === undefined ? notFound() : route(request)
  }
}

async function listSessions(tokens: RefreshTokens, caller: Family, request: PlainRequest): Promise<PlainResponse> {
  const query = queryOf(request)
  const limit = Number(query.get('limit') ?? MOST_LISTED)
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST_LISTED)
    return invalidRequest(`limit is not a whole number from 1 to ${MOST_LISTED}.`)
  const families: Family[] = []
  const from = query.get('cursor')
  let cursor = from
  do {
    const page = await pageOf(tokens, caller, { cursor, limit: Math.min(PAGE, limit - families.length) }).catch(
      (failure: unknown) => {
        if (cursor === from && from !== null && failure instanceof MisuseError) return null
        throw failure
      },
    )
    if (page === null) return invalidRequest('cursor is not the next of an earlier answer.')
    families.push(...page.items)
    cursor = page.cursor
  } while (cursor !== null && families.length < limit)
  return json(200, {
    sessions: families.map((family) => sessionOf(family, caller)),
    next: cursor ?? undefined,
  })
}

function pageOf(
  tokens: RefreshTokens,
  { subject }: Family,
  { cursor, limit }: { readonly cursor: string | null; readonly limit: number },
) {
  return tokens.list({ subject, limit, ...(cursor === null ? {} : { cursor }) })
}

function sessionOf(family: Family, caller: Family): object {
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
  const segments = pathOf(request).split('/')
  return segments.filter((segment) => segment !== '').at(-1) ?? ''
}

function notFound(): PlainResponse {
  return error('not_found', { description: 'There is no such session.' })
}
