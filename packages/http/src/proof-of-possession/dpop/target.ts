/**
 * Returns true if the `htu` of a proof is `url`. Query, fragment, the case of scheme and host, a default port and the encoding of
 * unreserved characters are ignored (RFC 9449 section 4.3, RFC 3986 section 6.2).
 */
export function isTarget(htu: string, url: string): boolean {
  const target = normalizeTarget(htu)
  return target !== null && target === normalizeTarget(url)
}

/** Returns the normalized target, or null for a text that is not an http(s) URL or contains credentials. */
export function normalizeTarget(text: string): string | null {
  // The URL parser accepts tabs, line breaks and backslashes, which are not allowed in a URI.
  if (!/^[\x21-\x5b\x5d-\x7e]+$/.test(text) || !URL.canParse(text)) return null
  const { protocol, username, password, origin, pathname } = new URL(text)
  if (!/^https?:$/.test(protocol) || username !== '' || password !== '') return null
  return origin + pathname.replace(/%[0-9A-Fa-f]{2}/g, normalizeEscape)
}

function normalizeEscape(escape: string): string {
  const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16))
  return /[A-Za-z0-9._~-]/.test(character) ? character : escape.toUpperCase()
}
