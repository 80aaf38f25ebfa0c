import type { Client } from '../clients/client.js'
import type { Admission } from '../clients/client-policy.js'
import type { Exchange } from '../pipeline/define-endpoint.js'
import type { Form } from '../messages/form.js'
import type { PlainResponse } from '../messages/message.js'

/** A request to the token endpoint whose client may use the grant type. */
export interface TokenRequest {
  readonly exchange: Exchange
  readonly form: Form
  readonly client: Client
  /** The client proved who it is in this request. */
  readonly confidential: boolean
  /** What the registration of the client makes of this request. */
  readonly admission: Extract<Admission, { ok: true }>
}

/** Answers the requests of one grant type. */
export type GrantHandler = (request: TokenRequest) => Promise<PlainResponse>
