import { isIP } from 'node:net'
import { ConfigurationError } from '@baton/core'
import { isLoopbackName } from './loopback.js'
import { pathOf, type PlainRequest, soleHeader } from './message.js'
import type { TransportOptions } from './options.js'

/** How a request reached us, as far as we can know it. */
export interface Transport {
  readonly scheme: 'https' | 'http'
  /** Of the client: the socket's, or what our own proxies wrote. Null where nobody tells. */
  readonly address: string | null
  /** https, or plain http that never left this machine. */
  readonly acceptable: boolean
  /** Why it is not acceptable, and what to change. A fixed sentence. */
  readonly advice: () => string
  /**
   * What stands before the path in the client's URL; null when nothing was configured and the Host header is no host. Few endpoints
   * need it.
   */
  readonly base: () => string | null
}

/**
 * Reads scheme, client address and our own name. `trustProxy` is how many proxies of ours stand in front, each of which appends;
 * what is further left in their headers came from the client and is never believed. Throws `ConfigurationError` for bad options.
 */
export function transportReader({ trustProxy = 0, publicUrl }: TransportOptions): (request: PlainRequest) => Transport {
  if (!Number.isInteger(trustProxy) || trustProxy < 0)
    throw new ConfigurationError(
      'trustProxy',
      `${String(trustProxy)} is not a whole number; give how many proxies of yours stand in front`,
    )
  const base = publicUrl === undefined ? null : baseOf(publicUrl)
  return (request) => transportOf(request, trustProxy, base)
}

function transportOf(request: PlainRequest, trustProxy: number, base: string | null): Transport {
  const forwardedFor = forwarded(request, 'x-forwarded-for', trustProxy)
  const forwardedProto = forwarded(request, 'x-forwarded-proto', trustProxy)
  const address = forwardedFor === null ? request.remoteAddress : hostOf(forwardedFor)
  const scheme = forwardedProto === null ? (request.encrypted ? 'https' : 'http') : schemeOf(forwardedProto)
  return {
    scheme,
    address,
    acceptable: scheme === 'https' || (isLocal(address) && isLocallyNamed(request)),
    advice: () => httpsAdvice(request, trustProxy),
    base: () => base ?? hostOrigin(request, scheme),
  }
}

function httpsAdvice(request: PlainRequest, trustProxy: number): string {
  if (trustProxy === 0)
    return request.headers['x-forwarded-proto'] === undefined
      ? 'Use https. If a proxy terminates TLS, let it set X-Forwarded-Proto, and set the option trustProxy.'
      : 'Use https. X-Forwarded-Proto is ignored because the option trustProxy is not set.'
  if (request.headers['x-forwarded-proto'] === undefined)
    return 'Use https. The option trustProxy is set, but the request has no X-Forwarded-Proto; let the proxy set it.'
  return forwarded(request, 'x-forwarded-proto', trustProxy) === null
    ? 'Use https. X-Forwarded-Proto has fewer entries than the option trustProxy says that there are proxies.'
    : 'Use https. By X-Forwarded-Proto, the client did not; check that header and the number of proxies in trustProxy.'
}

/** The origin under which the client reached us; null when nobody knows. */
export function ownOrigin(transport: Transport): string | null {
  const base = transport.base()
  return base === null ? null : originOf(base)
}

/** The URL under which the client reached us, without query; null when nobody knows. */
export function urlOf(request: PlainRequest, transport: Transport): string | null {
  const base = transport.base()
  return base === null ? null : base + pathOf(request)
}

/** Plain http on other machines is refused anyway. */
function isSafeUrl(text: unknown): text is string {
  if (typeof text !== 'string' || !URL.canParse(text) || /[?#]/.test(text)) return false
  const { protocol, hostname, username, password } = new URL(text)
  const isLocalHttp = protocol === 'http:' && isLoopbackName(hostname)
  return (protocol === 'https:' || isLocalHttp) && username === '' && password === ''
}

function baseOf(publicUrl: unknown): string {
  if (isSafeUrl(publicUrl)) return publicUrl.replace(/\/$/, '')
  throw new ConfigurationError(
    'publicUrl',
    `${JSON.stringify(publicUrl)} is not the https URL under which clients reach this server, such as https://login.example`,
  )
}

function hostOrigin(request: PlainRequest, scheme: Transport['scheme']): string | null {
  const host = hostHeader(request)
  return host === null ? null : originOf(`${scheme}://${host}`)
}

/** The bucket of an address: one IPv4 address, or the /64 that a single IPv6 subscriber is given. */
export function networkOf(address: string): string {
  const bare = address.includes('%') ? address.slice(0, address.indexOf('%')) : address
  if (isIP(bare) !== 6) return bare
  const groups = groupsOf(bare)
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  if (!isMapped)
    return `${groups
      .slice(0, 4)
      .map((group) => group.toString(16))
      .join(':')}::/64`
  return groups
    .slice(6)
    .flatMap((group) => [group >> 8, group & 0xff])
    .join('.')
}

function groupsOf(address: string): number[] {
  // The URL parser writes every IPv6 address in one form, without dotted parts.
  const text = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [head = '', tail] = text.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array<string>(8 - left.length - right.length).fill('0')
  return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16))
}

/** What the outermost of our proxies wrote; null when it did not, and the request came another way. */
function forwarded({ headers }: PlainRequest, name: string, trustProxy: number): string | null {
  if (trustProxy === 0) return null
  const entries = (headers[name] ?? [])
    .join(',')
    .split(',')
    .map((entry) => entry.trim())
  // Proxies that overwrite instead of appending leave one value, and it is ours.
  const position = name === 'x-forwarded-proto' && entries.length === 1 ? 0 : entries.length - trustProxy
  const entry = entries[position]
  return entry === undefined || entry === '' ? null : entry
}

function schemeOf(text: string): Transport['scheme'] {
  return text.toLowerCase() === 'https' ? 'https' : 'http'
}

/** Some proxies append the port as well. */
function hostOf(entry: string): string | null {
  const host = /^\[([^\]]+)\](?::\d+)?$/.exec(entry)?.[1] ?? /^([^:]+):\d+$/.exec(entry)?.[1] ?? entry
  return isIP(host) === 0 ? null : host
}

/** Where nobody tells the address, the name that the client used has to be enough. */
function isLocal(address: string | null): boolean {
  if (address === null) return true
  const network = networkOf(address)
  return network.startsWith('127.') || (network === '0:0:0:0::/64' && groupsOf(address).at(-1) === 1)
}

/**
 * A proxy on this machine makes everybody's address loopback, and so does a foreign name that resolves to it; both show in the
 * name that the client used.
 */
function isLocallyNamed(request: PlainRequest): boolean {
  const host = hostHeader(request)
  return host !== null && isLoopbackName(host.replace(/:\d+$/, ''))
}

function hostHeader(request: PlainRequest): string | null {
  const host = soleHeader(request, 'host') ?? soleHeader(request, ':authority')
  return host !== null && /^[A-Za-z0-9._:[\]-]+$/.test(host) ? host : null
}

function originOf(url: string): string | null {
  try {
    return new URL(url).origin
  } catch {
    return null
  }
}
