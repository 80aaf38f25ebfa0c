/** A request that a proof is about. */
export interface ProofRequest {
  readonly method: string
  readonly url: string
  /** What the proof is bound to; null at the token endpoint. */
  readonly accessToken: string | null
}

/** Proves at every request that its sender has a key (DPoP, RFC 9449). `@baton/client/dpop` makes one. */
export interface Proofs {
  /** A fresh proof. Asked for every request, repetitions included. */
  prove(request: ProofRequest): Promise<string>
  /** Remembers what a server wants to find in further proofs. */
  remember(url: string, nonce: string): void
}
