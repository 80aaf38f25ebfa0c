import { MisuseError } from './misuse.js'

interface Surroundings {
  readonly fetch: unknown
  readonly location?: { readonly origin: string }
}

/** Whether tokens may be sent there: over TLS, or within this machine. */
export function isSecure({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname))
}

/** An absolute URL that tokens may be sent to; a relative one is of this page, or of `elsewhere` where there is none. Throws `MisuseError`. */
export function secureUrl(option: string, value: string | URL, elsewhere?: string): string {
  const text = String(value)
  const here: Surroundings = globalThis
  const base = here.location?.origin ?? elsewhere
  if (URL.canParse(text, base)) {
    const url = new URL(text, base)
    if (isSecure(url) && url.hash === '') return url.href
  }
  throw new MisuseError(option, `${text} is not an https URL without fragment; plain http is for this machine only`)
}
