import type { Environment } from '../platform/environment.js'
import type { Emit } from '../platform/events.js'
import type { SessionStorage } from '../platform/storage.js'
import type { Proofs } from '../protocol/proofs.js'
import type { RequestBuilder } from '../protocol/requests.js'
import type { RecordStore } from './record-store.js'

/** What all parts of a session share. */
export interface SessionContext {
  readonly environment: Environment
  readonly endpoints: RequestBuilder
  readonly storage: SessionStorage
  readonly records: RecordStore
  readonly proofs: Proofs
  readonly lockTimeoutSeconds: number
  readonly requestTimeoutSeconds: number
  /** Origins to which access tokens may be sent, each with a slash at its end. */
  readonly allowedOrigins: readonly string[]
  readonly emit: Emit
}

/** Runs a function that sends one request. The signal aborts when the request takes too long. */
export type RunRequest = <T>(send: (signal: AbortSignal) => Promise<T>) => Promise<T>
