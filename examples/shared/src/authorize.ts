import { isSameResource } from '@baton/core'
import type {
  AuthorizationCodes,
  CodeRequest,
  Endpoint,
  PlainRequest,
  PlainResponse,
  RateLimits,
  StaticClient,
} from '@baton/http'
import { isRedirectUri, REDIRECT_URI } from './clients.js'
import { isUser, verifyPassword } from './users.js'
import { SCOPES } from './scopes.js'

interface AuthorizeOptions {
  readonly codes: AuthorizationCodes
  readonly clients: readonly StaticClient[]
  /** This server: lets a client check which server has sent the response (RFC 9207). */
  readonly issuer: string
  readonly rateLimit: RateLimits | false
}

/** The authorization request, validated. */
type ParsedRequest =
  | { readonly kind: 'valid'; readonly request: Omit<CodeRequest, 'subject'>; readonly redirect: Redirect }
  /** The error is sent to the client. */
  | { readonly kind: 'rejected'; readonly error: string; readonly redirect: Redirect }
  /** The error is shown to the user: the redirect URI cannot be trusted. */
  | { readonly kind: 'untrusted'; readonly reason: string }

/** Redirects the browser to the client. */
type Redirect = (members: Readonly<Record<string, string>>) => PlainResponse

const MAX_BODY_BYTES = 10_000

/**
 * A page that asks a user for a password and for consent, and redirects the browser with a code. For demonstrations:
 * `?login=alice&approve=1` signs alice in without a password, so that scripts can use it. Rejected in production.
 */
export function authorizePage({ codes, clients, issuer, rateLimit }: AuthorizeOptions): Endpoint {
  async function handleForm(
    request: PlainRequest,
    parsed: Extract<ParsedRequest, { kind: 'valid' }>,
  ): Promise<PlainResponse> {
    const form = await parseForm(request)
    if (form === null) return renderPage(400, '<p>The form data is invalid.</p>')
    if (form.get('decision') !== 'approve') return parsed.redirect({ error: 'access_denied' })
    const { remoteAddress } = request
    const account = form.get('username') ?? ''
    const check = () => verifyPassword(account, form.get('password') ?? '')
    const login =
      rateLimit === false
        ? { exhausted: null, result: await check() }
        : await rateLimit.authenticateUser({ account, address: remoteAddress }, check)
    if (login.exhausted !== null) return renderPage(429, '<p>Too many attempts; try again later.</p>')
    const subject = login.result
    if (subject !== null) return parsed.redirect({ code: codes.issue({ subject, ...parsed.request }) })
    return renderPage(401, `<p>The name or the password is wrong.</p>${renderForm(parsed.request)}`)
  }

  return async (request) => {
    const parameters = new URLSearchParams(request.url.split('?')[1])
    const parsed = parseRequest(parameters, { clients, issuer })
    if (parsed.kind === 'untrusted') return renderPage(400, `<p>${parsed.reason}</p>`)
    if (parsed.kind === 'rejected') return parsed.redirect({ error: parsed.error })
    if (request.method === 'POST') return handleForm(request, parsed)
    if (request.method !== 'GET') return renderPage(405, '<p>Method not allowed.</p>', [['allow', 'GET, POST']])
    const demoUser = findDemoUser(parameters)
    if (demoUser === null) return renderPage(200, renderForm(parsed.request))
    if (parameters.get('approve') !== '1') return parsed.redirect({ error: 'access_denied' })
    return parsed.redirect({ code: codes.issue({ subject: demoUser, ...parsed.request }) })
  }
}

/** The user that a script signs in as without a password. For demonstrations only. */
function findDemoUser(parameters: URLSearchParams): string | null {
  const login = parameters.get('login')
  return login !== null && isUser(login) && process.env['NODE_ENV'] !== 'production' ? login : null
}

function parseRequest(
  parameters: URLSearchParams,
  { clients, issuer }: Pick<AuthorizeOptions, 'clients' | 'issuer'>,
): ParsedRequest {
  const clientId = parameters.get('client_id')
  const client = clients.find((registered) => registered.clientId === clientId)
  const redirectUri = parameters.get('redirect_uri')
  if (client === undefined) return { kind: 'untrusted', reason: 'The client is not registered.' }
  if (redirectUri !== null && !isRedirectUri(redirectUri, client))
    return { kind: 'untrusted', reason: 'The redirect URI is not registered.' }
  const redirect = createRedirect(redirectUri ?? REDIRECT_URI, { state: parameters.get('state'), iss: issuer })
  const reject = (error: string): ParsedRequest => ({ kind: 'rejected', error, redirect })
  const names = [...parameters.keys()].filter((name) => name !== 'resource')
  if (new Set(names).size < names.length) return reject('invalid_request')
  if (parameters.get('response_type') !== 'code') return reject('unsupported_response_type')
  if (client.grantTypes?.includes('authorization_code') === false) return reject('unauthorized_client')
  const codeChallenge = parameters.get('code_challenge') ?? ''
  if (parameters.get('code_challenge_method') !== 'S256' || !/^[\w-]{43}$/.test(codeChallenge))
    return reject('invalid_request')
  const scope = parameters.get('scope') ?? 'read'
  if (!scope.split(' ').every((token) => SCOPES.includes(token))) return reject('invalid_scope')
  // This server has one API.
  const resources = parameters.getAll('resource')
  if (!resources.every((resource) => isSameResource(resource, issuer))) return reject('invalid_target')
  const jkt = parameters.get('dpop_jkt')
  if (jkt !== null && !/^[\w-]{43}$/.test(jkt)) return reject('invalid_request')
  const confirmation = jkt === null ? null : { jkt }
  const audience = resources.length === 0 ? [] : [issuer]
  return {
    kind: 'valid',
    request: { clientId: client.clientId, redirectUri, codeChallenge, scope, audience, confirmation },
    redirect,
  }
}

/** With 303 the browser does not send the password to the client (RFC 9700 section 4.12). */
function createRedirect(
  redirectUri: string,
  parameters: { readonly state: string | null; readonly iss: string },
): Redirect {
  return (members) => {
    const url = new URL(redirectUri)
    for (const [name, value] of Object.entries({ ...members, ...parameters })) {
      if (value !== null) url.searchParams.set(name, value)
    }
    return { status: 303, headers: [['location', url.href], ...SECURITY_HEADERS], body: null }
  }
}

async function parseForm({ headers, body }: PlainRequest): Promise<URLSearchParams | null> {
  const [type = ''] = headers['content-type']?.[0]?.split(';') ?? []
  if (type !== 'application/x-www-form-urlencoded' || body.kind !== 'stream') return null
  const bytes = await body.read(MAX_BODY_BYTES)
  return bytes === null ? null : new URLSearchParams(Buffer.from(bytes).toString('utf8'))
}

function renderForm({ clientId, scope = '' }: Pick<CodeRequest, 'clientId' | 'scope'>): string {
  return `<p><b>${clientId}</b> requests: ${scope}</p>
<form method="post">
<p><label>Name <input name="username" autocomplete="username"></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password"></label></p>
<p><button name="decision" value="approve">Allow</button> <button name="decision" value="deny">Deny</button></p>
</form>`
}

const SECURITY_HEADERS: PlainResponse['headers'] = [
  ['cache-control', 'no-store'],
  ['referrer-policy', 'no-referrer'],
  // Other sites must not put this page into a frame below their own buttons.
  ['content-security-policy', "default-src 'none'; frame-ancestors 'none'"],
  ['x-content-type-options', 'nosniff'],
]

/** All values in the page are constants or come from lists of this server. */
function renderPage(status: number, content: string, headers: PlainResponse['headers'] = []): PlainResponse {
  return {
    status,
    headers: [['content-type', 'text/html; charset=utf-8'], ...SECURITY_HEADERS, ...headers],
    body: `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in</title></head><body>
<h1>Sign in</h1>
<p><small>For demonstration, not for production.</small></p>
${content}
</body></html>
`,
  }
}
