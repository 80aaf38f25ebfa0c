/** A request that a proof is about. */
export interface ProofRequest {
  readonly method: string
  readonly url: string
  /** What the proof is bound to; null at the token endpoint. */
  readonly accessToken: string | null
  /**
   * Whether there are tokens already that are bound to a key, so that no other key will do. Default: whether there is an access
   * token.
   */
  readonly isBound?: boolean
}

/** Proves at every request that its sender has a key (DPoP, RFC 9449). `@baton/client/dpop` makes one. */
export interface Proofs {
  /**
   * A fresh proof. Asked for every request, repetitions included. Rejects with `KeyLostError` where tokens are bound to a key that is
   * not there any more; never makes another one for them.
   */
  prove(request: ProofRequest): Promise<string>
  /** Remembers what a server wants to find in further proofs. */
  remember(url: string, nonce: string): void
}
