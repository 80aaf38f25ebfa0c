import type { Answer, Circumstances } from './answer.js'
import type { PendingRevocation } from './record.js'
import type { Base, Refresh } from './refresh-state.js'
import type { Setup } from './setup.js'
import type { Vault } from './vault.js'

/** A POST. */
export interface Call {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
  readonly credentials: 'include' | 'omit'
}

/** What all pages of a session share. */
export type SharedState = Pick<Setup, 'environment' | 'storage' | 'lockTimeoutSeconds' | 'emit'> & {
  readonly vault: Vault
}

/** Runs what sends one request; the signal aborts when that takes too long. */
export type RunRequest = <T>(send: (signal: AbortSignal) => Promise<T>) => Promise<T>

/** Builds and sends the requests to a server. Null stands for a request that the server does not accept. */
export interface Endpoints {
  /** Of the server; access tokens go there unless other origins are named. */
  readonly origin: string
  /** Whether the browser carries the refresh token, and may have one that nobody here knows of. */
  readonly isCookie: boolean
  /** Keeps what must not be stored out of the text that is: a replacer of `JSON.stringify`. Default: all is stored. */
  readonly withhold?: (name: string, value: unknown) => unknown
  /** `key` identifies the attempt: the same for each repetition. */
  refresh(session: Base, key: string): Call | null
  revoke(revocation: PendingRevocation): Call | null
  /** By another grant (RFC 6749 section 4). `key` as in `refresh`; a call with the header `idempotency-key` may be repeated. */
  exchange(parameters: Readonly<Record<string, string>>, key: string): Call | null
  /** Called once, by the session that uses these endpoints. */
  readonly connect: (setup: Setup & { readonly vault: Vault }) => Connection
}

/** Sends requests and parses responses for one session. */
export interface Connection {
  readonly refresh: Refresh
  /** Sends another grant. It is repeated only if the request has an Idempotency-Key. */
  readonly exchange: (parameters: Readonly<Record<string, string>>, key: string) => Promise<Answer>
  /** Runs a sign-in or a sign-out. In cookie mode they must not overlap, in any page. */
  readonly run: RunRequest
  /** Sends the revocations that the server has not confirmed yet. */
  readonly flush: () => Promise<boolean>
  /** Parses the members of a token response (RFC 6749 section 5.1). */
  readonly readGrant: (members: unknown, circumstances: Omit<Circumstances, 'now'>) => Answer
}
