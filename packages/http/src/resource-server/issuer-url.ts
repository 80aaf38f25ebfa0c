import { rule, type Rule } from '@baton/core/options'
import { issuerUrl } from '../clients/issuer-url.js'
import { isLoopbackName } from '../pipeline/ip-address.js'

/** The issuer of another server: https, or http on a loopback host. */
export function remoteIssuer(): Rule<string> {
  const { parse } = issuerUrl()
  const secure = secureUrl()
  return { expected: secure.expected, parse: (value, option) => secure.parse(parse(value, option), option) }
}

/** A URL to which credentials and tokens may be sent. */
export const secureUrl = (): Rule<string> =>
  rule(
    'an https URL without user name, password and fragment',
    (value) => typeof value === 'string' && isSecureUrl(value),
    'http is accepted for loopback hosts only',
  )

/** Returns true for an https URL, and for an http URL of a loopback host. */
export function isSecureUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, username, password, hash } = new URL(text)
  const isProtected = protocol === 'https:' || (protocol === 'http:' && isLoopbackName(hostname))
  return isProtected && username === '' && password === '' && hash === ''
}
