import { serializeConfirmation } from '../model/confirmation.js'
import type { FamilyGrant, FamilyId, Verifier } from '../model/family.js'
import { type AuthenticToken, HANDLE_BYTES, PROOF_BYTES, SECRET_BYTES } from './authentic-token.js'
import { encodeParts, fingerprint, hash } from './hash.js'
import type { Key } from './keys.js'

const NONCE_BYTES = 12

/** A source of unpredictable bytes: `randomBytes` of `node:crypto`, or a seeded one in tests. */
export type Random = (size: number) => Uint8Array

/** Determines the first token of a family. */
export interface Seed {
  readonly handle: Uint8Array
  readonly secret: Uint8Array
}

export function createRandomSeed(random: Random): Seed {
  return { handle: random(HANDLE_BYTES), secret: random(SECRET_BYTES) }
}

/**
 * Derives the seed of a family from another system's token, so that every request with the token finds the same family and receives the
 * same successor. Not derived with `secrets`, because they change and the token would then create a second family.
 */
export function deriveLegacySeed(identity: string): Seed {
  return {
    handle: hash('baton/foreign-handle/v1', [identity], HANDLE_BYTES),
    secret: hash('baton/foreign-secret/v1', [identity], SECRET_BYTES),
  }
}

/** Returns true if the lengths are those of `createRandomSeed`. */
export function isSeed({ handle, secret }: Seed): boolean {
  return handle.length === HANDLE_BYTES && secret.length === SECRET_BYTES
}

/** Derives the seed of a reserved family: always the same one for this reservation, key and nonce. */
export function deriveReservedSeed({ handle, secret }: Seed, key: Key, nonce: string): Seed {
  const parts = [toFamilyId(handle), nonce, secret]
  return { handle, secret: key.next(encodeParts('baton/first/v1', parts), SECRET_BYTES) }
}

/** Creates the first token of a family: generation 0. */
export function createFirstToken(
  { handle, secret }: Seed,
  grant: Pick<FamilyGrant, 'createdAt' | 'confirmation'>,
): AuthenticToken {
  return {
    familyId: toFamilyId(handle),
    handle,
    generation: 0,
    createdAtSeconds: Math.floor(grant.createdAt / 1000),
    bound: grant.confirmation !== null,
    secret,
    proof: hashSecret(secret),
    previousProof: new Uint8Array(PROOF_BYTES),
  }
}

/**
 * Creates a function that returns a different nonce at each call. Nonces are stored in records and are not secret, so the function reads
 * `batchSize` of them from the random source at once. Secrets are always read one at a time.
 */
export function createNonceSource(random: Random, batchSize: number): () => string {
  let bytes = Buffer.alloc(0)
  let offset = 0
  return () => {
    if (offset === bytes.length) {
      bytes = Buffer.from(random(batchSize * NONCE_BYTES))
      offset = 0
    }
    offset += NONCE_BYTES
    return bytes.toString('base64url', offset - NONCE_BYTES, offset)
  }
}

/** Derives the successor of a token: always the same one for this token, key and nonce. */
export function deriveSuccessor(token: AuthenticToken, key: Key, nonce: string): AuthenticToken {
  const generation = token.generation + 1
  const parts = [token.familyId, generation, nonce, token.secret]
  const secret = key.next(encodeParts('baton/successor/v1', parts), SECRET_BYTES)
  return { ...token, generation, secret, proof: hashSecret(secret), previousProof: token.proof }
}

/** What a verifier binds besides the token itself. */
export type Binding = Pick<FamilyGrant, 'clientId' | 'confirmation'>

export function computeVerifier(token: AuthenticToken, binding: Binding): Verifier {
  return hashVerifier(token, { generation: token.generation, proof: token.proof }, binding)
}

/** Computes the verifier of the direct predecessor of a token. */
export function computePreviousVerifier(token: AuthenticToken, binding: Binding): Verifier {
  return hashVerifier(token, { generation: token.generation - 1, proof: token.previousProof }, binding)
}

/** 128 random bits take 22 characters of base64. A shorter key may come from a counter and proves nothing. */
const MIN_IDEMPOTENCY_KEY_LENGTH = 22
const MAX_IDEMPOTENCY_KEY_LENGTH = 255

/** Returns true if an Idempotency-Key is long enough to identify one attempt. */
export function isIdempotencyKey(key: unknown): key is string {
  return typeof key === 'string' && key.length >= MIN_IDEMPOTENCY_KEY_LENGTH && key.length <= MAX_IDEMPOTENCY_KEY_LENGTH
}

/** Hashes an Idempotency-Key for one token: the same key with another family or generation is another attempt. */
export function hashRetryKey(token: AuthenticToken, idempotencyKey: string): string {
  return fingerprint('baton/retry-key/v1', [token.familyId, token.generation, idempotencyKey])
}

/** Hashes an Idempotency-Key for the redemption of one reservation. */
export function hashRedemptionKey({ handle }: Seed, idempotencyKey: string): string {
  return fingerprint('baton/redemption-key/v1', [toFamilyId(handle), idempotencyKey])
}

export function toFamilyId(handle: Uint8Array): FamilyId {
  return fingerprint('baton/family/v1', [handle]) as FamilyId
}

export function hashSecret(secret: Uint8Array): Uint8Array {
  return hash('baton/proof/v1', [secret], PROOF_BYTES)
}

function hashVerifier(
  { familyId, createdAtSeconds }: AuthenticToken,
  { generation, proof }: Pick<AuthenticToken, 'generation' | 'proof'>,
  { clientId, confirmation }: Binding,
): Verifier {
  const parts = [familyId, generation, clientId, createdAtSeconds, serializeConfirmation(confirmation), proof]
  return fingerprint('baton/verifier/v1', parts) as Verifier
}
