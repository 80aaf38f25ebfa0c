import type { Endpoints } from './endpoints.js'
import type { Environment } from './environment.js'
import type { Emit } from './events.js'
import type { Proofs } from './proofs.js'
import type { SessionStorage } from './storage.js'

/** What a session has been told to work with. */
export interface Setup {
  readonly environment: Environment
  readonly endpoints: Endpoints
  readonly storage: SessionStorage
  readonly proofs: Proofs
  readonly lockTimeoutSeconds: number
  readonly requestTimeoutSeconds: number
  /** Where access tokens may go, each with a slash at its end. */
  readonly allowedOrigins: readonly string[]
  readonly emit: Emit
}
