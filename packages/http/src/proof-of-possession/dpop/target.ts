/**
 * Claims that a proof's `htu` names `url`: query and fragment do not count, nor do the case of scheme and host, a default port,
 * and how unreserved characters are written (RFC 9449 section 4.3, RFC 3986 section 6.2). Pure, and total.
 */
export function isTarget(htu: string, url: string): boolean {
  const target = normalTarget(htu)
  return target !== null && target === normalTarget(url)
}

/** The one spelling of a target; null for what is no http(s) URL, or holds credentials. */
export function normalTarget(text: string): string | null {
  // A URL parser forgives tabs, line ends and backslashes, which no client of good will writes.
  if (!/^[\x21-\x5b\x5d-\x7e]+$/.test(text) || !URL.canParse(text)) return null
  const { protocol, username, password, origin, pathname } = new URL(text)
  if (!/^https?:$/.test(protocol) || username !== '' || password !== '') return null
  return origin + pathname.replace(/%[0-9A-Fa-f]{2}/g, plainly)
}

function plainly(escape: string): string {
  const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16))
  return /[A-Za-z0-9._~-]/.test(character) ? character : escape.toUpperCase()
}
