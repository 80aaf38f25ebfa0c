/** Scheme, authority and the rest of a URL with an authority (RFC 3986 appendix B). */
const URL_PARTS = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)([^]*)$/

const DEFAULT_PORTS: ReadonlyMap<string, string> = new Map([
  ['http', '80'],
  ['https', '443'],
  ['ws', '80'],
  ['wss', '443'],
])

/**
 * Returns the form in which resource indicators ([RFC 8707](https://www.rfc-editor.org/rfc/rfc8707)) and audiences are compared: scheme and
 * host in lower case, without the default port, and `/` for an empty path ([RFC 3986](https://www.rfc-editor.org/rfc/rfc3986) sections
 * 6.2.2.1 and 6.2.3). Everything else, such as the path and its percent signs, is kept. A value that is not a URL with an authority, such
 * as `my-api` or a URN, is returned unchanged.
 *
 * @example
 * ```ts
 * import { normalizeResource } from '@baton/core'
 *
 * normalizeResource('HTTPS://API.example:443') // 'https://api.example/'
 * ```
 */
export function normalizeResource(resource: string): string {
  const [, scheme, authority, rest] = URL_PARTS.exec(resource) ?? []
  if (scheme === undefined || authority === undefined || rest === undefined) return resource
  const path = rest.startsWith('/') ? rest : `/${rest}`
  return `${toAsciiLowerCase(scheme)}://${normalizeAuthority(authority, toAsciiLowerCase(scheme))}${path}`
}

/**
 * Returns false for what RFC 8707 section 2 forbids: a URI with a fragment, and a reference that is relative to the host. Names that
 * are no URIs, such as `my-api`, are valid audiences.
 */
export function isResource(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value !== '' &&
    !value.startsWith('/') &&
    !/^[A-Za-z][A-Za-z0-9+.-]*:[^#]*#/.test(value)
  )
}

/**
 * Returns true if both values name the same resource.
 *
 * @example
 * ```ts
 * import { isSameResource } from '@baton/core'
 *
 * isSameResource('https://api.example', 'https://api.example/') // true
 * ```
 */
export function isSameResource(one: string, other: string): boolean {
  return one === other || normalizeResource(one) === normalizeResource(other)
}

/**
 * Returns true if `resource` names one of `resources`.
 *
 * @example
 * ```ts
 * import { includesResource } from '@baton/core'
 *
 * includesResource(['https://api.example', 'urn:example:billing'], 'https://api.example/') // true
 * ```
 */
export function includesResource(resources: readonly string[], resource: string): boolean {
  return resources.includes(resource) || resources.some((each) => isSameResource(each, resource))
}

/** Removes all but the first spelling of each resource. */
export function distinctResources(resources: readonly string[]): string[] {
  const bySpelling = new Map<string, string>()
  for (const resource of resources) {
    const normalized = normalizeResource(resource)
    if (!bySpelling.has(normalized)) bySpelling.set(normalized, resource)
  }
  return [...bySpelling.values()]
}

/**
 * Narrows a granted audience to the requested resources, in the spelling of the grant. Returns null if a requested value was not
 * granted or is not a resource indicator: see `isResource`. An empty request keeps the whole
 * grant. A grant without an audience stands for `defaultAudience`, if the server has one.
 */
export function narrowAudience(
  requested: readonly unknown[],
  { granted, defaultAudience }: { readonly granted: readonly string[]; readonly defaultAudience: string | undefined },
): readonly string[] | null {
  if (requested.length === 0) return granted
  const available = granted.length === 0 && defaultAudience !== undefined ? [defaultAudience] : granted
  const known = new Set(available.map(normalizeResource))
  const accepted = new Set<string>()
  for (const resource of requested) {
    if (!isResource(resource)) return null
    const normalized = normalizeResource(resource)
    if (!known.has(normalized)) return null
    accepted.add(normalized)
  }
  return available.filter((resource) => accepted.has(normalizeResource(resource)))
}

function normalizeAuthority(authority: string, scheme: string): string {
  const hostStart = authority.lastIndexOf('@') + 1
  const hostAndPort = toAsciiLowerCase(authority.slice(hostStart))
  // The port follows the last colon; the colons of an IPv6 address are inside brackets.
  const [, host = hostAndPort, port] = /^(.*):([0-9]*)$/.exec(hostAndPort) ?? []
  const isDefaultPort = port === '' || (port !== undefined && port === DEFAULT_PORTS.get(scheme))
  return authority.slice(0, hostStart) + (isDefaultPort ? host : hostAndPort)
}

/** `toLowerCase` would also map characters outside ASCII, such as the Kelvin sign, to ASCII letters. */
function toAsciiLowerCase(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}
