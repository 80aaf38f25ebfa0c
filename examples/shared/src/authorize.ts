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
import { isPerson, personWith } from './people.js'
import { SCOPES } from './scopes.js'

interface AuthorizeOptions {
  readonly codes: AuthorizationCodes
  readonly clients: readonly StaticClient[]
  /** This server, so that a client can tell whose answer it is (RFC 9207). */
  readonly issuer: string
  readonly rateLimit: RateLimits | false
}

/** What the browser brings, as far as it may be trusted. */
type Asked =
  | { readonly kind: 'fine'; readonly request: Omit<CodeRequest, 'subject'>; readonly back: Back }
  /** The client is told. */
  | { readonly kind: 'refused'; readonly error: string; readonly back: Back }
  /** Nobody is told but the person: who knows where the browser would be sent. */
  | { readonly kind: 'untrusted'; readonly reason: string }

/** Sends the browser back to the client. */
type Back = (answer: Readonly<Record<string, string>>) => PlainResponse

const MOST_BODY_BYTES = 10_000

/**
 * A plain page that asks a person for a password and for consent, and sends the browser back with a code. For demonstration:
 * `?login=alice&approve=1` signs alice in without a password, so that scripts get through; it is refused in production.
 */
export function authorizePage({ codes, clients, issuer, rateLimit }: AuthorizeOptions): Endpoint {
  async function enter(request: PlainRequest, asked: Extract<Asked, { kind: 'fine' }>): Promise<PlainResponse> {
    const form = await formOf(request)
    if (form === null) return page(400, '<p>That is not the form of this page.</p>')
    if (form.get('decision') !== 'approve') return asked.back({ error: 'access_denied' })
    const { remoteAddress } = request
    const account = form.get('username') ?? ''
    const check = () => personWith(account, form.get('password') ?? '')
    const attempt =
      rateLimit === false
        ? { exhausted: null, result: await check() }
        : await rateLimit.authenticateUser({ account, address: remoteAddress }, check)
    if (attempt.exhausted !== null) return page(429, '<p>Too many attempts; try again later.</p>')
    const subject = attempt.result
    if (subject !== null) return asked.back({ code: codes.issue({ subject, ...asked.request }) })
    return page(401, `<p>The name or the password is wrong.</p>${formFor(asked.request)}`)
  }

  return async (request) => {
    const parameters = new URLSearchParams(request.url.split('?')[1])
    const asked = readRequest(parameters, { clients, issuer })
    if (asked.kind === 'untrusted') return page(400, `<p>${asked.reason}</p>`)
    if (asked.kind === 'refused') return asked.back({ error: asked.error })
    if (request.method === 'POST') return enter(request, asked)
    if (request.method !== 'GET') return page(405, '<p>Not served here.</p>', [['allow', 'GET, POST']])
    const demonstrated = demonstratedBy(parameters)
    if (demonstrated === null) return page(200, formFor(asked.request))
    if (parameters.get('approve') !== '1') return asked.back({ error: 'access_denied' })
    return asked.back({ code: codes.issue({ subject: demonstrated, ...asked.request }) })
  }
}

/** The person that a script asks to be, without a password: for demonstration only. */
function demonstratedBy(parameters: URLSearchParams): string | null {
  const login = parameters.get('login')
  return login !== null && isPerson(login) && process.env['NODE_ENV'] !== 'production' ? login : null
}

function readRequest(
  parameters: URLSearchParams,
  { clients, issuer }: Pick<AuthorizeOptions, 'clients' | 'issuer'>,
): Asked {
  const clientId = parameters.get('client_id')
  const client = clients.find((registered) => registered.clientId === clientId)
  const redirectUri = parameters.get('redirect_uri')
  if (client === undefined) return { kind: 'untrusted', reason: 'There is no such client.' }
  if (redirectUri !== null && !isRedirectUri(redirectUri, client))
    return { kind: 'untrusted', reason: 'The redirect URI is not the one that is registered.' }
  const back = backTo(redirectUri ?? REDIRECT_URI, { state: parameters.get('state'), iss: issuer })
  const refuse = (error: string): Asked => ({ kind: 'refused', error, back })
  const names = [...parameters.keys()].filter((name) => name !== 'resource')
  if (new Set(names).size < names.length) return refuse('invalid_request')
  if (parameters.get('response_type') !== 'code') return refuse('unsupported_response_type')
  if (client.grantTypes?.includes('authorization_code') === false) return refuse('unauthorized_client')
  const codeChallenge = parameters.get('code_challenge') ?? ''
  if (parameters.get('code_challenge_method') !== 'S256' || !/^[\w-]{43}$/.test(codeChallenge))
    return refuse('invalid_request')
  const scope = parameters.get('scope') ?? 'read'
  if (!scope.split(' ').every((token) => SCOPES.includes(token))) return refuse('invalid_scope')
  // The one API that there is.
  const resources = parameters.getAll('resource')
  if (!resources.every((resource) => isSameResource(resource, issuer))) return refuse('invalid_target')
  const jkt = parameters.get('dpop_jkt')
  if (jkt !== null && !/^[\w-]{43}$/.test(jkt)) return refuse('invalid_request')
  const confirmation = jkt === null ? null : { jkt }
  const audience = resources.length === 0 ? [] : [issuer]
  return {
    kind: 'fine',
    request: { clientId: client.clientId, redirectUri, codeChallenge, scope, audience, confirmation },
    back,
  }
}

/** 303: the browser must not send the password along (RFC 9700 section 4.12). */
function backTo(redirectUri: string, always: { readonly state: string | null; readonly iss: string }): Back {
  return (answer) => {
    const url = new URL(redirectUri)
    for (const [name, value] of Object.entries({ ...answer, ...always })) {
      if (value !== null) url.searchParams.set(name, value)
    }
    return { status: 303, headers: [['location', url.href], ...ALWAYS], body: null }
  }
}

async function formOf({ headers, body }: PlainRequest): Promise<URLSearchParams | null> {
  const [type = ''] = headers['content-type']?.[0]?.split(';') ?? []
  if (type !== 'application/x-www-form-urlencoded' || body.kind !== 'stream') return null
  const bytes = await body.read(MOST_BODY_BYTES)
  return bytes === null ? null : new URLSearchParams(Buffer.from(bytes).toString('utf8'))
}

function formFor({ clientId, scope = '' }: Pick<CodeRequest, 'clientId' | 'scope'>): string {
  return `<p><b>${clientId}</b> asks for: ${scope}</p>
<form method="post">
<p><label>Name <input name="username" autocomplete="username"></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password"></label></p>
<p><button name="decision" value="approve">Allow</button> <button name="decision" value="deny">Deny</button></p>
</form>`
}

const ALWAYS: PlainResponse['headers'] = [
  ['cache-control', 'no-store'],
  ['referrer-policy', 'no-referrer'],
  // A page elsewhere must not put this one into a frame, under its own buttons.
  ['content-security-policy', "default-src 'none'; frame-ancestors 'none'"],
  ['x-content-type-options', 'nosniff'],
]

/** Everything that is put into the page is ours or from our own lists. */
function page(status: number, content: string, headers: PlainResponse['headers'] = []): PlainResponse {
  return {
    status,
    headers: [['content-type', 'text/html; charset=utf-8'], ...ALWAYS, ...headers],
    body: `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in</title></head><body>
<h1>Sign in</h1>
<p><small>A demonstration, and no sign-in page for production.</small></p>
${content}
</body></html>
`,
  }
}
