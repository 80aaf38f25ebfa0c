import { ConfigurationError } from '@baton/core'
import { stringifySetCookie } from 'cookie'
import { demandKnown } from './endpoint.js'
import type { Transport } from './transport.js'

/** The cookie in which the system you come from keeps its refresh token. */
export interface LegacyCookieOptions {
  readonly name: string
  /** With which `Path` it was set, so that it can be expired. It must reach the refresh, login and logout endpoints. Default `/`. */
  readonly path?: string
  /** With which `Domain` it was set. Default: none. */
  readonly domain?: string
}

export interface LegacyCookie {
  readonly name: string
  /** Returns the value of a `Set-Cookie` header that expires it. */
  expire(transport: Transport): string
}

/** Throws `ConfigurationError`. `ownNames` are those of Baton's cookie. */
export function legacyCookie(option: string | LegacyCookieOptions, ownNames: readonly string[]): LegacyCookie {
  const options = typeof option === 'string' ? { name: option } : option
  if (typeof options !== 'object' || (options as unknown) === null)
    throw new ConfigurationError('cookie.legacyCookie', 'must be a name or { name, path, domain }')
  demandKnown(options, ['name', 'path', 'domain'], 'cookie.legacyCookie.')
  const { name, path = '/', domain } = options
  if (typeof name !== 'string' || !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/.test(name))
    throw new ConfigurationError('cookie.legacyCookie.name', 'must be 1 to 128 characters of a cookie name (RFC 6265)')
  if (ownNames.includes(name))
    throw new ConfigurationError(
      'cookie.legacyCookie.name',
      `${JSON.stringify(name)} is the name of the cookie that Baton sets; give cookie.name another value`,
    )
  if (typeof path !== 'string' || !/^\/[\x21-\x3a\x3c-\x7e]*$/.test(path))
    throw new ConfigurationError('cookie.legacyCookie.path', 'must begin with / and hold neither spaces nor semicolons')
  if (domain !== undefined && (typeof domain !== 'string' || !/^\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/.test(domain)))
    throw new ConfigurationError('cookie.legacyCookie.domain', 'must be a host name, such as "example.com"')
  return {
    name,
    expire: ({ scheme }) =>
      stringifySetCookie({
        name,
        value: '',
        path,
        httpOnly: true,
        secure: scheme === 'https',
        maxAge: 0,
        ...(domain === undefined ? {} : { domain }),
      }),
  }
}
