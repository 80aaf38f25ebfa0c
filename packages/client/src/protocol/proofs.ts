/** What a proof is about, beside its request. */
export interface ProofSubject {
  /** What it is bound to; null at the token endpoint. */
  readonly accessToken: string | null
  /** Whether there are tokens already that are bound to a key, so that no other key will do. Default: whether there is one here. */
  readonly isBound?: boolean
  /** True for a request that cannot be built a second time. */
  readonly isOneShot?: boolean
  /**
   * True for a request that gets a proof only if the server asks for one, such as a sign-out: few servers do, and the CORS rules of others
   * may not allow the header.
   */
  readonly isOptional?: boolean
}

/** Proves at every request that its sender has a key (DPoP, RFC 9449). `@baton/client/dpop` makes one. */
export interface Proofs {
  /** Of the access tokens that come with it (RFC 6749 section 7.1): `DPoP`. */
  readonly scheme: string
  /**
   * `fetch` with a fresh proof, which does once more what a server wants to have with another nonce. Rejects with a `SessionError`
   * (`key_lost`) where tokens are bound to a key that is not there any more; never makes another one for them.
   */
  send(build: () => Request, subject: ProofSubject): Promise<Response>
}
