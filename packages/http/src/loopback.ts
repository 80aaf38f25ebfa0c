/** True for the names of this machine, as `URL.hostname` spells them. All names below `localhost` are loopback (RFC 6761 section 6.3). */
export function isLoopbackName(hostname: string): boolean {
  return /^((.+\.)?localhost|127\.\d+\.\d+\.\d+|\[::1\])$/i.test(hostname)
}
