import { isObject } from './platform/json.js'
import { checkOptions } from './platform/options.js'
import { createEnvironment, type Environment } from './platform/environment.js'
import type { Proofs, ProofSubject } from './protocol/proofs.js'
import { SessionError } from './platform/errors.js'
import { indexedDbKeyStore, type KeyPair, type KeyStore, createKeyPair } from './protocol/dpop-key.js'
import { base64url, sha256, webCrypto } from './protocol/encoding.js'
import { parseUrl } from './protocol/secure-url.js'
import { unlessAborted } from './platform/lock.js'
import { randomText } from './platform/timing.js'

export type { KeyPair } from './protocol/dpop-key.js'

export interface DpopOptions {
  /**
   * An ECDSA key pair on P-256. Required outside of browsers; store it as long as the session. Default: a non-extractable key, created at
   * the first sign-in and stored in IndexedDB.
   */
  readonly keyPair?: KeyPair
  /** Identifies the key among those of one origin in IndexedDB. Default `baton`. */
  readonly name?: string
  /** For tests only. */
  readonly environment?: Pick<Environment, 'fetch' | 'now' | 'random' | 'origin'>
}

interface ProofRequest extends ProofSubject {
  readonly method: string
  /** An absolute URL. */
  readonly url: string
}

/**
 * Creates DPoP proofs with one key. Refresh tokens of public clients are bound to this key for their whole lifetime (RFC 9449 section 5).
 */
export interface Dpop extends Proofs {
  /** Creates a proof for a request that the app sends itself. Rejects with a `ConfigurationError` for invalid options. */
  prove(request: ProofRequest): Promise<string>
  /**
   * `fetch` with a proof and without an access token, for an app's own sign-in request. Stores nonces and repeats the request once if the
   * server requires a nonce. The body must be reusable.
   */
  readonly fetch: (url: string | URL, init?: RequestInit) => Promise<Response>
  /** Returns the JWK thumbprint of the key (RFC 7638), for `dpop_jkt` in an authorization request. Creates the key if there is none. */
  thumbprint(): Promise<string>
}

interface Signer {
  readonly pair: KeyPair
  /** Members in the order of RFC 7638, so that the JSON text is the input of the thumbprint. */
  readonly jwk: { readonly crv: string; readonly kty: string; readonly x: string; readonly y: string }
}

const UNBOUND = { accessToken: null, isBound: false }

/**
 * Binds the tokens of a session to a key ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)). Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { createSession } from '@baton/client'
 * import { dpop } from '@baton/client/dpop'
 * import { indexedDbStorage } from '@baton/client/indexed-db'
 * import { oauthEndpoints } from '@baton/client/oauth'
 *
 * const session = createSession({
 *   endpoints: oauthEndpoints({ tokenEndpoint: 'https://login.example/oauth/token', clientId: 'web' }),
 *   storage: indexedDbStorage(),
 *   dpop: dpop(),
 * })
 * ```
 */
export function dpop(options: DpopOptions = {}): Dpop {
  checkOptions<DpopOptions>(
    options,
    {},
    { keyPair: ['an ECDSA key pair on P-256', isKeyPair], name: 'string', environment: '.fetch' },
  )
  const { environment = createEnvironment(), keyPair, name = 'baton' } = options
  const place = keyPair === undefined ? indexedDbKeyStore(name) : inMemory(keyPair)
  const nonces = new Map<string, string>()
  let held: Signer | null = null

  /** Reads the key again for token requests, because another tab may have started a session with another key. */
  async function signer({ accessToken, isBound = accessToken !== null }: ProofSubject): Promise<Signer> {
    if (accessToken !== null && held !== null) return held
    const pair = await found(isBound).catch((error: unknown) => {
      if (error instanceof SessionError) throw error
      throw Object.assign(new SessionError('unavailable', 'the key cannot be read'), { cause: error })
    })
    held = await toSigner(pair)
    return held
  }

  async function found(isBound: boolean): Promise<KeyPair> {
    const pair = await place.read()
    if (pair !== null) return pair
    // The browser data was deleted while this page was open. The key in memory is stored again.
    if (held !== null) return place.keep(held.pair)
    if (isBound) throw new SessionError('key_lost', 'the key of this session is lost; sign in again')
    return place.keep(await createKeyPair())
  }

  async function prove(request: ProofRequest): Promise<string> {
    const { method, url, accessToken } = request
    const { origin, pathname } = new URL(url)
    const { pair, jwk } = await signer(request)
    const nonce = nonces.get(origin)
    const claims = {
      jti: randomText(environment),
      htm: method,
      // Without query and fragment (RFC 9449 section 4.2).
      htu: origin + pathname,
      iat: Math.floor(environment.now() / 1000),
      ...(accessToken === null ? {} : { ath: await sha256(accessToken) }),
      ...(nonce === undefined ? {} : { nonce }),
    }
    const text = `${encode({ typ: 'dpop+jwt', alg: 'ES256', jwk })}.${encode(claims)}`
    const bytes = new TextEncoder().encode(text)
    const signature = await webCrypto().sign({ name: 'ECDSA', hash: 'SHA-256' }, pair.privateKey, bytes)
    return `${text}.${base64url(new Uint8Array(signature))}`
  }

  async function sendOnce(request: Request, subject: ProofSubject): Promise<Response> {
    const { method, url, headers, signal } = request
    headers.set('dpop', await unlessAborted(prove({ method, url, ...subject }), signal))
    const response = await environment.fetch(request)
    const nonce = response.headers.get('dpop-nonce')
    const { origin } = new URL(url)
    // After a redirect to another origin the nonce is not from the server of the request.
    if (nonce !== null && (!response.redirected || new URL(response.url).origin === origin)) nonces.set(origin, nonce)
    return response
  }

  async function send(build: () => Request, subject: ProofSubject): Promise<Response> {
    if (subject.isOptional === true) {
      const unproven = await environment.fetch(build())
      if (!(await mentions(unproven, /"(invalid_dpop_proof|use_dpop_nonce)"/))) return unproven
      await unproven.body?.cancel()
    }
    const response = await sendOnce(build(), subject)
    if (subject.isOneShot === true || !(await mentions(response, /"use_dpop_nonce"/))) return response
    await response.body?.cancel()
    return sendOnce(build(), subject)
  }

  return {
    scheme: 'DPoP',
    async prove(request) {
      checkProofRequest(request)
      return prove(request)
    },
    send,
    fetch: (url, init) => send(() => new Request(url, init), UNBOUND),
    async thumbprint() {
      const { jwk } = await signer(UNBOUND)
      return sha256(JSON.stringify(jwk))
    },
  }
}

function checkProofRequest(request: ProofRequest): void {
  checkOptions<ProofRequest>(
    request,
    {
      method: 'string',
      url: ['an absolute URL', (value) => typeof value === 'string' && parseUrl(value) !== null],
      accessToken: [
        'an access token or null',
        (value) => value === null || (typeof value === 'string' && value !== ''),
      ],
    },
    { isBound: 'boolean', isOneShot: 'boolean', isOptional: 'boolean' },
  )
}

/** Keeps a key that the caller stores. */
function inMemory(pair: KeyPair): KeyStore {
  return { read: async () => pair, keep: async () => pair }
}

function isKeyPair(value: unknown): boolean {
  const { privateKey } = isObject(value) ? value : {}
  const { algorithm } = isObject(privateKey) ? privateKey : {}
  return isObject(algorithm) && algorithm['name'] === 'ECDSA' && algorithm['namedCurve'] === 'P-256'
}

async function toSigner(pair: KeyPair): Promise<Signer> {
  const { crv = '', kty = '', x = '', y = '' } = await webCrypto().exportKey('jwk', pair.publicKey)
  return { pair, jwk: { crv, kty, x, y } }
}

function encode(value: object): string {
  return base64url(new TextEncoder().encode(JSON.stringify(value)))
}

/** Token endpoints return errors in the body, resource servers in a header (RFC 9449 sections 8 and 9). */
async function mentions(response: Response, error: RegExp): Promise<boolean> {
  if (response.status !== 400 && response.status !== 401) return false
  return error.test(`${response.headers.get('www-authenticate') ?? ''}${await response.clone().text()}`)
}
