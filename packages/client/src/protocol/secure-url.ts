import { ConfigurationError } from '../platform/errors.js'

interface Globals {
  readonly fetch: unknown
  readonly document?: { readonly baseURI: string }
  readonly location?: { readonly href: string; readonly origin: string }
}

/** Returns null if the text is not a URL. */
export function parseUrl(text: string, base?: string): URL | null {
  try {
    return new URL(text, base)
  } catch {
    return null
  }
}

/**
 * Returns true if tokens may be sent there: over TLS, or to a loopback host. Names below `localhost` are loopback (RFC 6761 section 6.3).
 */
export function isSecure({ protocol, hostname }: URL): boolean {
  return (
    protocol === 'https:' || (protocol === 'http:' && /^((.+\.)?localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname))
  )
}

/**
 * Returns an absolute URL to which tokens may be sent. Relative URLs are resolved like those of `fetch`, and outside of browsers against
 * `elsewhere`. Throws `ConfigurationError`.
 */
export function secureUrl(option: string, value: string | URL, elsewhere?: string): string {
  const text = String(value)
  const { document, location }: Globals = globalThis
  // A `srcdoc` frame has the base URL of its parent page. The URL of a worker from a blob is not a base URL, but its origin is.
  for (const base of [document?.baseURI, location?.href, location?.origin, elsewhere]) {
    const url = parseUrl(text, base)
    if (url && isSecure(url) && !url.hash) return url.href
  }
  throw new ConfigurationError(
    option,
    `must be an https URL without fragment, got ${text}; http is allowed for loopback hosts only`,
  )
}
