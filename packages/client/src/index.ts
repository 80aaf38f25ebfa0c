export { createSession, type Session, type SessionOptions, type TokenResponse } from './session.js'
export type { CookieOptions, TokenOptions } from './endpoints.js'
export type { SessionSnapshot, SessionStatus } from './keeper.js'
export type { FetchOptions, GuardedFetch } from './guarded-fetch.js'
export type { SessionEvent, SessionEvents, SessionListener } from './events.js'
export type { SignedOutReason } from './record.js'
export {
  KeyLostError,
  MisuseError,
  RefreshTimeoutError,
  SessionError,
  type SessionErrorCode,
  SignedOutError,
  UnavailableError,
} from './errors.js'
export type { PendingAuthorization } from './callback.js'
export { memoryStorage, type SessionStorage } from './storage.js'
export { localLock, type Lock, platformLock } from './lock.js'
export type { ProofRequest, Proofs } from './proofs.js'
export { createEnvironment, type Environment } from './environment.js'
