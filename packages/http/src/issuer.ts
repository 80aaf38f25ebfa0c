import { ConfigurationError } from '@baton/core'

/** Throws `ConfigurationError` for what is no issuer identifier (RFC 8414 section 2). */
export function demandIssuer(issuer: unknown): asserts issuer is string {
  const url = typeof issuer === 'string' && URL.canParse(issuer) ? new URL(issuer) : null
  if (url !== null && /^https?:$/.test(url.protocol) && !/[?#]/.test(String(issuer))) return
  throw new ConfigurationError(
    'issuer',
    `${JSON.stringify(issuer)} is not an http(s) URL without query and fragment; give this server's own, such as https://login.example`,
  )
}
