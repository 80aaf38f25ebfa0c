import { ConfigurationError } from '../platform/errors.js'

interface Globals {
  readonly fetch: unknown
  readonly crypto?: { readonly subtle?: typeof crypto.subtle }
}

/** Base64url without padding (RFC 4648 section 5). */
export function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=/g, '')
}

/** Returns the SHA-256 hash of a text as base64url. */
export async function sha256(text: string): Promise<string> {
  const hash = await webCrypto().digest('SHA-256', new TextEncoder().encode(text))
  return base64url(new Uint8Array(hash))
}

/** Returns Web Crypto. Browsers offer it to pages with TLS only, and React Native does not have it. Throws `ConfigurationError`. */
export function webCrypto(): typeof crypto.subtle {
  const here: Globals = globalThis
  const subtle = here.crypto?.subtle
  if (subtle) return subtle
  throw new ConfigurationError(
    'crypto.subtle',
    'must exist; browsers offer it to pages from https and localhost, React Native needs a polyfill',
  )
}
