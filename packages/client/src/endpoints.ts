import type { PendingRevocation } from './record.js'
import type { Base } from './refresh-state.js'

/** A POST. */
export interface Call {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
  readonly credentials: 'include' | 'omit'
}

/** Writes requests: all that differs between the ways to carry a refresh token. Null stands for what cannot be asked. */
export interface Endpoints {
  /** Of the server; access tokens go there unless other origins are named. */
  readonly origin: string
  /** Whether the browser carries the refresh token, and may have one that nobody here knows of. */
  readonly isCookie: boolean
  /** Keeps what must not be stored out of the text that is: a replacer of `JSON.stringify`. Default: all is stored. */
  readonly withhold?: (name: string, value: unknown) => unknown
  refresh(session: Base): Call | null
  revoke(revocation: PendingRevocation): Call | null
  /** By another grant (RFC 6749 section 4). */
  exchange(parameters: Readonly<Record<string, string>>): Call | null
}
