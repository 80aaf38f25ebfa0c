import type { Client } from '../clients/client.js'
import type { Exchange } from '../endpoint.js'
import type { Form } from '../form.js'
import type { PlainResponse } from '../message.js'

/** A request to the token endpoint once client and grant type are settled. */
export interface TokenRequest {
  readonly exchange: Exchange
  readonly form: Form
  readonly client: Client
  /** The client proved who it is in this request. */
  readonly confidential: boolean
  /** The key that this request proved, `jkt:…` or `x5t#S256:…`; null without a proof. */
  readonly boundKey: string | null
}

/** Answers the requests of one grant type. */
export type GrantHandler = (request: TokenRequest) => Promise<PlainResponse>
