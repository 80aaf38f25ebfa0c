import { isIP } from 'node:net'

/** Returns true for host names of this machine, in the form of `URL.hostname`. All names below `localhost` are loopback (RFC 6761 section 6.3). */
export function isLoopbackName(hostname: string): boolean {
  return /^((.+\.)?localhost|127\.\d+\.\d+\.\d+|\[::1\])$/i.test(hostname)
}

/** Returns true for addresses of the loopback interface. */
export function isLoopbackAddress(address: string): boolean {
  const network = toNetwork(address)
  return network.startsWith('127.') || (network === '0:0:0:0::/64' && parseGroups(address).at(-1) === 1)
}

/** Returns the IP address of an `X-Forwarded-For` entry, which may have a port; null for anything else. */
export function parseAddress(entry: string): string | null {
  const host = /^\[([^\]]+)\](?::\d+)?$/.exec(entry)?.[1] ?? /^([^:]+):\d+$/.exec(entry)?.[1] ?? entry
  return isIP(host) === 0 ? null : host
}

/** Returns the network that counts as one caller: an IPv4 address, or the /64 that an IPv6 subscriber gets. */
export function toNetwork(address: string): string {
  const bare = address.includes('%') ? address.slice(0, address.indexOf('%')) : address
  if (isIP(bare) !== 6) return bare
  const groups = parseGroups(bare)
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

function parseGroups(address: string): number[] {
  // The URL parser writes every IPv6 address in one form, without dotted parts.
  const text = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [head = '', tail] = text.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array<string>(8 - left.length - right.length).fill('0')
  return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16))
}
