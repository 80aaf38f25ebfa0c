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
  /** The client authenticated in this request. */
  readonly confidential: boolean
  /** The conditions that follow from the registration of the client. */
  readonly admission: Extract<Admission, { ok: true }>
}

/** Handles the token requests of one grant type. */
export type GrantHandler = (request: TokenRequest) => Promise<PlainResponse>
