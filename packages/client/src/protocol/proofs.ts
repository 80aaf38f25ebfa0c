/** The context of a DPoP proof, besides its request. */
export interface ProofSubject {
  /** The access token to which the proof is bound; null at the token endpoint. */
  readonly accessToken: string | null
  /** True if tokens are already bound to a key, so that no other key can be used. Default: true if there is an access token. */
  readonly isBound?: boolean
  /** True for a request whose body can be sent only once. */
  readonly isOneShot?: boolean
  /**
   * True for a request that gets a proof only if the server requires one, such as a sign-out. Few servers do, and the CORS rules of others
   * may not allow the header.
   */
  readonly isOptional?: boolean
}

/** Proves possession of a key with each request (DPoP, RFC 9449). Created by `dpop()` of `@baton/client/dpop`. */
export interface Proofs {
  /** The type of the access tokens (RFC 6749 section 7.1): `DPoP`. */
  readonly scheme: string
  /**
   * Sends a request with a new proof, and repeats it if the server requires another nonce. Rejects with a `SessionError` with the code
   * `key_lost` if tokens are bound to a key that is lost; no new key is created for them.
   */
  send(build: () => Request, subject: ProofSubject): Promise<Response>
}
