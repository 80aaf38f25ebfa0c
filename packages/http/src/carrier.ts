import { type Family, FIRST_PARTY, MisuseError } from '@baton/core'
import { parseCookie, stringifySetCookie } from 'cookie'
import type { PlainRequest } from './message.js'
import type { CookieOptions } from './options.js'
import type { Transport } from './transport.js'

type SetCookieHeader = readonly ['set-cookie', string]

type CarriedToken =
  | { readonly kind: 'none' }
  | { readonly kind: 'one'; readonly refreshToken: string }
  /** Two cookies of one name: somebody planted one of them, and nobody can tell which. */
  | { readonly kind: 'several' }

/** Carries the refresh token in a cookie that scripts cannot read. */
export interface CookieCarrier {
  /** The client that cookie sessions belong to. */
  readonly clientId: string
  readonly allowedOrigins: ReadonlySet<string>
  read(request: PlainRequest, transport: Transport): CarriedToken
  /** Lives as long as the family would without another refresh. `now` is epoch milliseconds. */
  set(
    refreshToken: string,
    family: Pick<Family, 'expiresAt'>,
    at: { transport: Transport; now: number },
  ): SetCookieHeader
  clear(transport: Transport): SetCookieHeader
}

const KNOWN = ['name', 'clientId', 'allowedOrigins', 'embedded']

/** Throws `MisuseError`. */
export function cookieCarrier(cookie: CookieOptions | true): CookieCarrier {
  const options = cookie === true ? {} : cookie
  for (const option of Object.keys(options)) {
    if (!KNOWN.includes(option))
      throw new MisuseError(`cookie.${option}`, `is not an option of cookies; known are ${KNOWN.join(', ')}`)
  }
  const { name = 'baton', clientId = FIRST_PARTY, allowedOrigins = [], embedded = false } = options
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(name) || /^__(host|secure)-/i.test(name))
    throw new MisuseError(
      'cookie.name',
      `${JSON.stringify(name)} is not 1 to 64 letters, digits, - or _ without a prefix; __Host- is added by itself`,
    )
  for (const origin of allowedOrigins) demandOrigin('cookie.allowedOrigins', origin)

  // A browser takes neither the prefix nor SameSite=None without Secure, and plain http is only for developing on one machine.
  const nameFor = ({ scheme }: Transport) => (scheme === 'https' ? `__Host-${name}` : name)
  const write = (value: string, maxAge: number, transport: Transport): SetCookieHeader => {
    const secure = transport.scheme === 'https'
    const sameSite = embedded && secure ? 'none' : 'strict'
    const partitioned = embedded && secure
    const attributes = { path: '/', httpOnly: true, secure, sameSite, partitioned, maxAge } as const
    return ['set-cookie', stringifySetCookie({ name: nameFor(transport), value, ...attributes })]
  }
  return {
    clientId,
    allowedOrigins: new Set(allowedOrigins),
    read(request, transport) {
      const values = cookiesNamed(nameFor(transport), request)
      if (values.length > 1) return { kind: 'several' }
      const [refreshToken = ''] = values
      return refreshToken === '' ? { kind: 'none' } : { kind: 'one', refreshToken }
    },
    set: (refreshToken, { expiresAt }, { transport, now }) =>
      write(refreshToken, Math.max(0, Math.floor((expiresAt - now) / 1000)), transport),
    clear: (transport) => write('', 0, transport),
  }
}

function cookiesNamed(name: string, { headers }: PlainRequest): string[] {
  const pairs = (headers['cookie'] ?? []).flatMap((header) => header.split(';'))
  // One at a time: of several with the same name, parseCookie shows only the first.
  return pairs.flatMap((pair) => parseCookie(pair, { decode: (value) => value })[name] ?? [])
}

/** Throws `MisuseError` for anything but an origin as browsers send it, over TLS or of this machine. */
export function demandOrigin(option: string, origin: unknown): void {
  if (typeof origin === 'string' && URL.canParse(origin)) {
    const { origin: canonical, protocol, hostname } = new URL(origin)
    const isLocal = protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
    if (canonical === origin && (protocol === 'https:' || isLocal)) return
  }
  throw new MisuseError(
    option,
    `${JSON.stringify(origin)} is not an exact https origin; write it as browsers send it, like https://app.example`,
  )
}
