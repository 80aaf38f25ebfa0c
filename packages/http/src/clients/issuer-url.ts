import { rule, type Rule } from '@baton/core/options'

/** The issuer identifier of an authorization server (RFC 8414 section 2). */
export const issuerUrl = (): Rule<string> =>
  rule(
    'an http(s) URL without query and fragment',
    isIssuer,
    'use the URL of this server, such as https://login.example',
  )

function isIssuer(issuer: unknown): boolean {
  const url = typeof issuer === 'string' && URL.canParse(issuer) ? new URL(issuer) : null
  return url !== null && /^https?:$/.test(url.protocol) && !/[?#]/.test(String(issuer))
}
