import { fetchObject, type FetchOptions } from './bounded-fetch.js'
import { IssuerError, quote } from './issuer-error.js'
import { isSecureUrl } from './issuer-url.js'

/** The members of the metadata that are URLs and that a resource server needs. */
type EndpointName = 'jwks_uri' | 'introspection_endpoint'

/**
 * Returns a URL of the metadata of an authorization server (RFC 8414 section 3, https://www.rfc-editor.org/rfc/rfc8414#section-3; OpenID
 * Connect Discovery section 4). Rejects with `IssuerError`.
 */
export async function discover(
  name: EndpointName,
  {
    issuer,
    signal,
    options,
  }: { readonly issuer: string; readonly signal: AbortSignal; readonly options: FetchOptions },
): Promise<string> {
  const failures: IssuerError[] = []
  for (const url of metadataUrls(issuer)) {
    const document = `the metadata at ${url}`
    try {
      const metadata = await fetchObject(options, { url, document, signal })
      return endpointIn(metadata, { name, issuer, document })
    } catch (error) {
      if (!(error instanceof IssuerError)) throw error
      failures.push(error)
    }
  }
  // Most servers have one of these documents: 404 for another one says little.
  throw failures.find(({ status }) => status !== 404) ?? failures[0] ?? new IssuerError('the metadata', 'is missing')
}

/** Between host and path (RFC 8414 section 3.1), and after the path (OpenID Connect Discovery section 4.1). */
function metadataUrls(issuer: string): readonly string[] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  const urls = [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ]
  return [...new Set(urls)]
}

interface Expected {
  readonly name: EndpointName
  readonly issuer: string
  readonly document: string
}

/** Metadata of another issuer must not be used (RFC 8414 section 3.3). */
function endpointIn(metadata: Readonly<Record<string, unknown>>, { name, issuer, document }: Expected): string {
  const [actual, endpoint] = [metadata['issuer'], metadata[name]]
  if (actual !== issuer)
    throw new IssuerError(
      document,
      `has the issuer ${quote(actual)}, expected ${quote(issuer)}, character by character`,
    )
  if (typeof endpoint !== 'string') throw new IssuerError(document, `has no ${name}`)
  if (!isSecureUrl(endpoint) || (issuer.startsWith('https:') && !endpoint.startsWith('https:')))
    throw new IssuerError(document, `has the ${name} ${quote(endpoint)}, which must be an https URL`)
  return endpoint
}
