import { ConfigurationError } from '@baton/core'
import { isLoopbackName } from './loopback.js'

/** Schemes of URLs that have no origin of their own, or none that browsers send over HTTP. */
const WITHOUT_ORIGIN: ReadonlySet<string> = new Set([
  ...['about:', 'blob:', 'data:', 'file:', 'filesystem:', 'ftp:', 'javascript:', 'view-source:', 'ws:', 'wss:'],
])

/**
 * Throws `ConfigurationError` for anything but an exact origin as browsers send it: https, http on this machine, or an app shell such as
 * `capacitor://localhost`. Rejects `null`, which every opaque origin shares.
 */
export function demandOrigin(option: string, origin: unknown): void {
  if (typeof origin === 'string' && isOrigin(origin)) return
  throw new ConfigurationError(
    option,
    `${JSON.stringify(origin)} is not an exact origin; write it as browsers send it, like https://app.example or capacitor://localhost`,
  )
}

function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, host, hostname } = new URL(text)
  // `URL.origin` is "null" for app shells; this is how browsers serialize theirs.
  if (`${protocol}//${host}` !== text || host === '' || WITHOUT_ORIGIN.has(protocol)) return false
  return protocol !== 'http:' || isLoopbackName(hostname)
}
