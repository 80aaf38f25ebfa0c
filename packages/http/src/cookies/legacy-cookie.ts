import { ConfigurationError } from '@baton/core'
import {
  declareOptions,
  matching,
  nested,
  optional,
  type OptionsOf,
  required,
  type Resolved,
  type Rule,
  withDefault,
} from '@baton/core/options'
import { stringifySetCookie } from 'cookie'
import type { Transport } from '../pipeline/transport.js'

const legacyCookieOptions = declareOptions({
  /** The name of the cookie. */
  name: required(
    matching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/, '1 to 128 characters of a cookie name (RFC 6265 section 4.1.1)'),
  ),
  /** The `Path` attribute of the cookie. It must cover the refresh, login and logout endpoints. Default `/`. */
  path: withDefault(
    matching(/^\/[\x21-\x3a\x3c-\x7e]*$/, 'a path that starts with / without spaces and semicolons'),
    '/',
  ),
  /** The `Domain` attribute of the cookie. Default: none. */
  domain: optional(matching(/^\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/, 'a host name, such as "example.com"')),
})

/** The cookie in which your previous system stores its refresh token. */
export type LegacyCookieOptions = OptionsOf<typeof legacyCookieOptions>

type ResolvedLegacyCookie = Resolved<(typeof legacyCookieOptions)['fields']>

export interface LegacyCookie {
  readonly name: string
  /** Returns the value of a `Set-Cookie` header that expires the cookie. */
  expire(transport: Transport): string
}

/** Accepts a name, or an object with name, path and domain. */
export const legacyCookieOption = (): Rule<string | LegacyCookieOptions, ResolvedLegacyCookie> => {
  const { parse } = nested(legacyCookieOptions)
  return {
    expected: 'the name of a cookie or { name, path, domain }',
    parse: (value, option) => parse(typeof value === 'string' ? { name: value } : value, option),
  }
}

/** Throws `ConfigurationError` if the name is one of `ownNames`, the names of the cookie that Baton sets. */
export function legacyCookie({ name, path, domain }: ResolvedLegacyCookie, ownNames: readonly string[]): LegacyCookie {
  if (ownNames.includes(name))
    throw new ConfigurationError(
      'cookie.legacyCookie.name',
      `must differ from the name of the cookie that Baton sets, got ${JSON.stringify(name)}; pass another cookie.name`,
    )
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
