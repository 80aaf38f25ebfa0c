import { timingSafeEqual } from 'node:crypto'
import { confirmationText } from './confirmation.js'
import { fingerprint, framed, hash } from './digest.js'
import type { FamilyGrant, FamilyId, FamilyRecord, Verifier } from './family.js'
import type { Key, KeyRing } from './keys.js'
import { sameText } from './same-text.js'

/*
 * prefix + base64url of 84 bytes:
 *
 *   0  version (high four bits) and flags      28  secret, 24 bytes
 *   1  key id, 3 bytes                         52  proof of the predecessor's secret, 16 bytes
 *   4  handle, 16 bytes                        68  tag over all before it, 16 bytes
 *  20  generation, 4 bytes
 *  24  createdAt in seconds, 4 bytes
 */
const SIZE = 84
const TEXT_LENGTH = (SIZE * 4) / 3
/** With a whole number of groups, no bits are left over that could be spelt in two ways. */
const ONE_ALPHABET = /^[A-Za-z0-9_-]+$/
const TAG_AT = 68
const VERSION = 1
const BOUND_FLAG = 1

const HANDLE_BYTES = 16
const SECRET_BYTES = 24
const PROOF_BYTES = 16
const TAG_BYTES = 16
const NONCE_BYTES = 12

/** A source of unpredictable bytes: `node:crypto`'s `randomBytes`, or a seeded one in tests. */
export type Random = (size: number) => Uint8Array

/** A refresh token whose tag has been verified: we made it, whatever has become of its family since. */
export interface AuthenticToken {
  readonly familyId: FamilyId
  readonly handle: Uint8Array
  readonly generation: number
  readonly createdAtSeconds: number
  /** A key must be proven along with this token. */
  readonly bound: boolean
  readonly secret: Uint8Array
  /** Of the secret. */
  readonly proof: Uint8Array
  readonly previousProof: Uint8Array
}

export type ParsedToken =
  | { readonly kind: 'authentic'; readonly token: AuthenticToken }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'unknown_key'; readonly keyId: string }

/** Reads a token and verifies its tag. Pure, and total: anything has an answer, and any second spelling of a token is malformed. */
export function parseToken(text: unknown, prefix: string, ring: KeyRing): ParsedToken {
  const bytes = bytesOf(text, prefix)
  if (bytes === null) return { kind: 'malformed' }
  const keyId = bytes.toString('base64url', 1, 4)
  const key = ring.find(keyId)
  if (key === undefined) return { kind: 'unknown_key', keyId }
  if (!timingSafeEqual(tagOf(bytes.subarray(0, TAG_AT), key), bytes.subarray(TAG_AT))) return { kind: 'malformed' }
  const handle = bytes.subarray(4, 20)
  const secret = bytes.subarray(28, 52)
  const token: AuthenticToken = {
    familyId: familyIdOf(handle),
    handle,
    generation: bytes.readUInt32BE(20),
    createdAtSeconds: bytes.readUInt32BE(24),
    bound: isBound(bytes),
    secret,
    proof: proofOf(secret),
    previousProof: bytes.subarray(52, TAG_AT),
  }
  return { kind: 'authentic', token }
}

/** What a token says of itself, whoever made it; null for what is none by its looks. */
export function headOf(text: unknown, prefix: string) {
  const bytes = bytesOf(text, prefix)
  return (
    bytes && {
      familyId: familyIdOf(bytes.subarray(4, 20)),
      generation: bytes.readUInt32BE(20),
      createdAtSeconds: bytes.readUInt32BE(24),
      bound: isBound(bytes),
      keyId: bytes.toString('base64url', 1, 4),
    }
  )
}

/** Whatever a request carried may end up here: nothing, a list, an object. */
function bytesOf(text: unknown, prefix: string): Buffer | null {
  if (typeof text !== 'string' || text.length !== prefix.length + TEXT_LENGTH || !text.startsWith(prefix)) return null
  const body = text.slice(prefix.length)
  // Buffer forgives foreign characters and the other base64 alphabet; a token has exactly one spelling.
  if (!ONE_ALPHABET.test(body)) return null
  const bytes = Buffer.from(body, 'base64url')
  const head = bytes.readUInt8(0)
  return head >> 4 === VERSION && (head & 0x0f & ~BOUND_FLAG) === 0 ? bytes : null
}

function isBound(bytes: Buffer): boolean {
  return (bytes.readUInt8(0) & BOUND_FLAG) !== 0
}

/** Writes a token under `key`. */
export function formatToken(token: Omit<AuthenticToken, 'familyId' | 'proof'>, prefix: string, key: Key): string {
  const bytes = Buffer.allocUnsafe(SIZE)
  bytes.writeUInt8((VERSION << 4) | (token.bound ? BOUND_FLAG : 0), 0)
  bytes.set(key.idBytes, 1)
  bytes.set(token.handle, 4)
  bytes.writeUInt32BE(token.generation, 20)
  bytes.writeUInt32BE(token.createdAtSeconds, 24)
  bytes.set(token.secret, 28)
  bytes.set(token.previousProof, 52)
  bytes.set(tagOf(bytes.subarray(0, TAG_AT), key), TAG_AT)
  return prefix + bytes.toString('base64url')
}

/** What a family's first token is made of. */
export interface Seed {
  readonly handle: Uint8Array
  readonly secret: Uint8Array
}

export function randomSeed(random: Random): Seed {
  return { handle: random(HANDLE_BYTES), secret: random(SECRET_BYTES) }
}

/**
 * Derived from another system's token, so that whoever brings it finds the same family and earns the same successor. Not under our
 * keys: they change, and the token would then begin a second family.
 */
export function foreignSeed(identity: string): Seed {
  return {
    handle: hash('baton/foreign-handle/v1', [identity], HANDLE_BYTES),
    secret: hash('baton/foreign-secret/v1', [identity], SECRET_BYTES),
  }
}

/** Claims that the bytes have the lengths that `randomSeed` gives. */
export function isSeed({ handle, secret }: Seed): boolean {
  return handle.length === HANDLE_BYTES && secret.length === SECRET_BYTES
}

/** Derived from what a reservation holds: the same reservation always begins with the same token under this key and nonce. */
export function reservedSeed({ handle, secret }: Seed, key: Key, nonce: string): Seed {
  const parts = [familyIdOf(handle), nonce, secret]
  return { handle, secret: key.next(framed('baton/first/v1', parts), SECRET_BYTES) }
}

/** Claims that another system may have issued this: any text that RFC 6749 appendix A.17 allows, of a bearable length. */
export function mayBeForeign(text: unknown): text is string {
  return typeof text === 'string' && /^[\x20-\x7e]{1,8192}$/.test(text)
}

/** The first token of a family: generation 0. */
export function firstToken(
  { handle, secret }: Seed,
  grant: Pick<FamilyGrant, 'createdAt' | 'confirmation'>,
): AuthenticToken {
  return {
    familyId: familyIdOf(handle),
    handle,
    generation: 0,
    createdAtSeconds: Math.floor(grant.createdAt / 1000),
    bound: grant.confirmation !== null,
    secret,
    proof: proofOf(secret),
    previousProof: new Uint8Array(PROOF_BYTES),
  }
}

/**
 * Makes nonces of which none comes twice. They are no secrets, as every record shows one, so they may be drawn `atOnce` from a source
 * that takes its price for each call. What is secret is always drawn when it is needed.
 */
export function noncesFrom(random: Random, atOnce: number): () => string {
  let drawn = Buffer.alloc(0)
  let used = 0
  return () => {
    if (used === drawn.length) {
      drawn = Buffer.from(random(atOnce * NONCE_BYTES))
      used = 0
    }
    used += NONCE_BYTES
    return drawn.toString('base64url', used - NONCE_BYTES, used)
  }
}

/** The one successor of `token` under this key and nonce: the same three always give the same successor. */
export function successorOf(token: AuthenticToken, key: Key, nonce: string): AuthenticToken {
  const generation = token.generation + 1
  const secret = key.next(framed('baton/successor/v1', [token.familyId, generation, nonce, token.secret]), SECRET_BYTES)
  return { ...token, generation, secret, proof: proofOf(secret), previousProof: token.proof }
}

/** What a verifier binds besides the token itself. */
export type Binding = Pick<FamilyGrant, 'clientId' | 'confirmation'>

export function verifierOf(token: AuthenticToken, binding: Binding): Verifier {
  return commit(token, token.generation, token.proof, binding)
}

/** Where a presented token stands in its family. */
export type Relation =
  /** It is the token that the record names. */
  | 'current'
  /** The record's token is its direct successor. */
  | 'predecessor'
  /** Its generation is the predecessor's, but the record's key is not in the ring, so nobody here can tell. */
  | 'unverifiable'
  /** The record's token is its direct predecessor: the store lost one rotation. */
  | 'one_ahead'
  /** Two or more generations ahead of the record: the store lost more than one rotation. */
  | 'far_ahead'
  /** Another system's token, of which no family has been made yet; the record is what it would begin as. */
  | 'foreign'
  /** Anything else: an older ancestor, or a branch that the record knows nothing of. */
  | 'stranger'

/** Finds the relation of an authentic token to its family's record. The only place where tokens and records meet. */
export function relationOf(
  token: AuthenticToken,
  { current }: FamilyRecord,
  ring: KeyRing,
  binding: Binding,
): Relation {
  switch (token.generation - current.generation) {
    case 0:
      return sameText(verifierOf(token, binding), current.verifier) ? 'current' : 'stranger'
    case -1: {
      const key = ring.find(current.keyId)
      if (key === undefined) return 'unverifiable'
      const successor = successorOf(token, key, current.nonce)
      return sameText(verifierOf(successor, binding), current.verifier) ? 'predecessor' : 'stranger'
    }
    case 1: {
      const predecessor = commit(token, current.generation, token.previousProof, binding)
      return sameText(predecessor, current.verifier) ? 'one_ahead' : 'stranger'
    }
    default:
      return token.generation > current.generation ? 'far_ahead' : 'stranger'
  }
}

/** 128 random bits take 22 characters of base64; a shorter key may come from a counter and proves nothing. */
const LEAST_ATTEMPT_KEY_LENGTH = 22
const MOST_ATTEMPT_KEY_LENGTH = 255

/** Claims that an Idempotency-Key may tell one attempt from another. */
export function countsAsAttempt(key: unknown): key is string {
  return typeof key === 'string' && key.length >= LEAST_ATTEMPT_KEY_LENGTH && key.length <= MOST_ATTEMPT_KEY_LENGTH
}

/** Ties an Idempotency-Key to one attempt: the same key on another family or generation is another attempt. */
export function retryKeyOf(token: AuthenticToken, idempotencyKey: string): string {
  return fingerprint('baton/retry-key/v1', [token.familyId, token.generation, idempotencyKey])
}

/** Ties an Idempotency-Key to the attempt to redeem one reservation. */
export function redemptionKeyOf({ handle }: Seed, idempotencyKey: string): string {
  return fingerprint('baton/redemption-key/v1', [familyIdOf(handle), idempotencyKey])
}

export function familyIdOf(handle: Uint8Array): FamilyId {
  return fingerprint('baton/family/v1', [handle]) as FamilyId
}

function proofOf(secret: Uint8Array): Uint8Array {
  return hash('baton/proof/v1', [secret], PROOF_BYTES)
}

function commit(
  { familyId, createdAtSeconds }: AuthenticToken,
  generation: number,
  proof: Uint8Array,
  { clientId, confirmation }: Binding,
): Verifier {
  const parts = [familyId, generation, clientId, createdAtSeconds, confirmationText(confirmation), proof]
  return fingerprint('baton/verifier/v1', parts) as Verifier
}

function tagOf(bytes: Uint8Array, key: Key): Uint8Array {
  return key.tag(bytes, TAG_BYTES)
}
