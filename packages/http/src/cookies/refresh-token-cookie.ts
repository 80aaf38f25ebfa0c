import { type Family, FIRST_PARTY } from '@baton/core'
import {
  boolean,
  declareOptions,
  listOf,
  optional,
  type OptionsOf,
  type Resolved,
  type Rule,
  rule,
  text,
  withDefault,
} from '@baton/core/options'
import { parseCookie, stringifySetCookie } from 'cookie'
import { legacyCookie, legacyCookieOption } from './legacy-cookie.js'
import type { PlainRequest } from '../messages/message.js'
import { origin } from '../pipeline/origin.js'
import type { Transport } from '../pipeline/transport.js'

const cookieOptions = declareOptions({
  /** The name of the cookie, without the prefix `__Host-`, which is added except on plain http. Default `baton`. */
  name: withDefault(
    rule<string>(
      '1 to 64 letters, digits, - or _ without a prefix',
      (name) => typeof name === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(name) && !/^__(host|secure)-/i.test(name),
      '__Host- is added automatically',
    ),
    'baton',
  ),
  /** The client to which cookie sessions are issued. Default `first-party`. */
  clientId: withDefault(text(), FIRST_PARTY),
  /** Exact origins in addition to the server's own whose pages may refresh and log out: `https://app.example`, `capacitor://localhost`. */
  allowedOrigins: withDefault(listOf(origin()), []),
  /** True for apps in frames of other sites: `SameSite=None; Partitioned` instead of `SameSite=Strict`. */
  crossSite: withDefault(boolean(), false),
  /**
   * The cookie in which your previous system stores its refresh token: its name, or also its path and domain. It is used if the browser
   * has no cookie of Baton and `legacyTokens` of `createRefreshTokens` accepts the token; tokens of Baton are never accepted there. Every
   * response that sets or clears Baton's cookie expires it. Remove the option once no token of that system is valid any more.
   */
  legacyCookie: optional(legacyCookieOption()),
})

export type CookieOptions = OptionsOf<typeof cookieOptions>

type ResolvedCookieOptions = Resolved<(typeof cookieOptions)['fields']>

/** Accepts the options of the cookie, or `true` for the defaults. */
export const cookieOption = (): Rule<CookieOptions | true, ResolvedCookieOptions> => ({
  expected: 'true or an object',
  parse: (value, option) => cookieOptions.parse(option, value === true ? {} : value, `${option}.`),
})

type SetCookieHeader = readonly ['set-cookie', string]

/** A token that came in a cookie. */
export interface CookieToken {
  readonly refreshToken: string
  /**
   * It came in the cookie of the system you come from. Any site of the same domain can set that cookie, so that no token of Baton is
   * accepted there: an attacker could otherwise put one of theirs into a victim's browser (session fixation).
   */
  readonly legacyOnly: boolean
}

/** Carries the refresh token in a cookie that scripts cannot read. */
export interface RefreshTokenCookie {
  /** The client that cookie sessions belong to. */
  readonly clientId: string
  readonly allowedOrigins: ReadonlySet<string>
  /**
   * The distinct values of the cookie, in the order sent, and after them those of the legacy cookie. A browser may hold more than one:
   * after `crossSite` has been changed it has a partitioned and an unpartitioned cookie, and without TLS or in a legacy cookie there may
   * be one for each path or domain.
   */
  read(request: PlainRequest, transport: Transport): readonly CookieToken[]
  /**
   * Lives as long as the family would without another refresh. `now` is epoch milliseconds. Expires the other variant and the legacy
   * cookie.
   */
  set(
    refreshToken: string,
    family: Pick<Family, 'expiresAt'>,
    at: { transport: Transport; now: number },
  ): readonly SetCookieHeader[]
  /** Expires both variants, and the legacy cookie. */
  clear(transport: Transport): readonly SetCookieHeader[]
}

/** Each value may cost a read of the store. */
const MAX_VALUES = 8

/** Throws `ConfigurationError` if the legacy cookie has the same name. */
export function createRefreshTokenCookie({
  name,
  clientId,
  allowedOrigins,
  crossSite,
  legacyCookie: legacyOptions,
}: ResolvedCookieOptions): RefreshTokenCookie {
  const legacy = legacyOptions === undefined ? null : legacyCookie(legacyOptions, [name, `__Host-${name}`])

  // Browsers accept neither the prefix nor SameSite=None without Secure. Plain http is for development on one machine.
  const nameFor = ({ scheme }: Transport) => (scheme === 'https' ? `__Host-${name}` : name)
  const write = (value: string, maxAge: number, { transport, isPartitioned }: Variant): SetCookieHeader => {
    const secure = transport.scheme === 'https'
    const sameSite = isPartitioned ? 'none' : 'strict'
    const attributes = { path: '/', httpOnly: true, secure, sameSite, partitioned: isPartitioned, maxAge } as const
    return ['set-cookie', stringifySetCookie({ name: nameFor(transport), value, ...attributes })]
  }
  /** The variant in use, and the one that a browser may still hold from before `crossSite` was changed. */
  const variantsOf = (transport: Transport): readonly [current: Variant, ...others: Variant[]] => {
    if (transport.scheme !== 'https') return [{ transport, isPartitioned: false }]
    return [
      { transport, isPartitioned: crossSite },
      { transport, isPartitioned: !crossSite },
    ]
  }
  /** The current variant comes last: a browser without partitions has only one cookie, and the last header decides. */
  const replace = (value: string, maxAge: number, transport: Transport): readonly SetCookieHeader[] => {
    const [current, ...others] = variantsOf(transport)
    const expired: SetCookieHeader[] = legacy === null ? [] : [['set-cookie', legacy.expire(transport)]]
    return [...expired, ...others.map((variant) => write('', 0, variant)), write(value, maxAge, current)]
  }
  return {
    clientId,
    allowedOrigins: new Set(allowedOrigins),
    read: (request, transport) => {
      const own = distinct(parseCookies(nameFor(transport), request))
      const old = legacy === null ? [] : distinct(parseCookies(legacy.name, request).map(decoded))
      return [
        ...own.map((refreshToken) => ({ refreshToken, legacyOnly: false })),
        ...old.map((refreshToken) => ({ refreshToken, legacyOnly: true })),
      ]
    },
    set: (refreshToken, { expiresAt }, { transport, now }) =>
      replace(refreshToken, Math.max(0, Math.floor((expiresAt - now) / 1000)), transport),
    clear: (transport) => replace('', 0, transport),
  }
}

interface Variant {
  readonly transport: Transport
  readonly isPartitioned: boolean
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values.filter((value) => value !== ''))].slice(0, MAX_VALUES)
}

/** Many frameworks encode the values of cookies. */
function decoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

function parseCookies(name: string, { headers }: PlainRequest): string[] {
  const pairs = (headers['cookie'] ?? []).flatMap((header) => header.split(';'))
  // One at a time: of several with the same name, parseCookie shows only the first.
  return pairs.flatMap((pair) => parseCookie(pair, { decode: (value) => value })[name] ?? [])
}
