import { rule, type Rule } from '@baton/core/options'
import { isLoopbackName } from './ip-address.js'

/** Schemes whose URLs have no origin, or none that browsers send over HTTP. */
const WITHOUT_ORIGIN: ReadonlySet<string> = new Set([
  ...['about:', 'blob:', 'data:', 'file:', 'filesystem:', 'ftp:', 'javascript:', 'view-source:', 'ws:', 'wss:'],
])

/**
 * Accepts an exact origin as browsers send it: https, http on a loopback host, or an app shell such as `capacitor://localhost`. Rejects
 * `null`, which all opaque origins share.
 */
export const origin = (): Rule<string> =>
  rule(
    'an exact origin as browsers send it, such as "https://app.example" or "capacitor://localhost"',
    isOrigin,
    'omit path and trailing slash; http is accepted for loopback hosts only',
  )

function isOrigin(value: unknown): boolean {
  if (typeof value !== 'string' || !URL.canParse(value)) return false
  const { protocol, host, hostname } = new URL(value)
  // `URL.origin` is "null" for app shells; this is how browsers serialize theirs.
  if (`${protocol}//${host}` !== value || host === '' || WITHOUT_ORIGIN.has(protocol)) return false
  return protocol !== 'http:' || isLoopbackName(hostname)
}
