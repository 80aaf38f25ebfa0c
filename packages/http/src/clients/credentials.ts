import { decodeComponent, type Form } from '../messages/form.js'
import type { PlainRequest, PlainResponse } from '../messages/message.js'
import { parseAssertedClient } from './assertion.js'
import { error, invalidClient, invalidRequest } from '../messages/responses.js'

/** The client credentials of a request. */
export type Credentials =
  | (Named & { readonly method: 'none' })
  | (Named & { readonly method: 'client_secret_basic' | 'client_secret_post'; readonly secret: string })
  | (Named & { readonly method: 'private_key_jwt'; readonly assertion: string })
  | { readonly ok: false; readonly response: PlainResponse }

interface Named {
  readonly ok: true
  readonly clientId: string
  /** Where the client id was sent: a rejection has a challenge if it was the Authorization header (RFC 6749 section 5.2). */
  readonly via: 'header' | 'body'
}

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Parses the client credentials of a request. More than one method is rejected (RFC 6749 section 2.3). */
export function parseCredentials(request: PlainRequest, form: Form): Credentials {
  const authorizations = request.headers['authorization'] ?? []
  const clientId = form.get('client_id')
  const secret = form.get('client_secret')
  const hasAssertion = form.get('client_assertion') !== null || form.get('client_assertion_type') !== null
  const methods = authorizations.length + (secret === null ? 0 : 1) + (hasAssertion ? 1 : 0)
  const [authorization, repeated] = authorizations
  if (repeated !== undefined) return reject(invalidRequest('The Authorization header is repeated.'))
  if (methods > 1)
    return reject(
      invalidRequest('Use one of Authorization, client_secret and client_assertion; the request has more than one.'),
    )

  if (authorization !== undefined) {
    const pair = parseBasic(authorization)
    if (pair === null) return reject(invalidClient('header', describeBasicError(authorization)))
    // The same client_id in the body is not a second method.
    if (clientId !== null && clientId !== pair.clientId)
      return reject(invalidRequest('client_id differs from the Authorization header.'))
    // Some public clients send Basic with an empty secret, which RFC 6749 section 2.3.1 allows.
    const { clientId: named, secret: sent } = pair
    return sent === ''
      ? { ok: true, method: 'none', clientId: named, via: 'header' }
      : { ok: true, method: 'client_secret_basic', clientId: named, secret: sent, via: 'header' }
  }
  if (hasAssertion) return parseAssertion(form)
  if (clientId === null) return reject(error('invalid_client', { description: 'client_id is missing.' }))
  return secret === null
    ? { ok: true, method: 'none', clientId, via: 'body' }
    : { ok: true, method: 'client_secret_post', clientId, secret, via: 'body' }
}

/** RFC 7523 section 2.2. The same client_id beside the assertion is not a second method (RFC 7521 section 4.2). */
function parseAssertion(form: Form): Credentials {
  const assertion = form.get('client_assertion')
  if (assertion === null) return reject(invalidClient('body', 'client_assertion is missing.'))
  if (form.get('client_assertion_type') !== ASSERTION_TYPE)
    return reject(invalidClient('body', `client_assertion_type must be ${ASSERTION_TYPE}.`))
  const clientId = parseAssertedClient(assertion)
  if (clientId === null)
    return reject(invalidClient('body', 'client_assertion must be a JWT whose iss and sub are the same client_id.'))
  if (clientId !== (form.get('client_id') ?? clientId))
    return reject(invalidClient('body', 'client_id differs from the subject of client_assertion.'))
  return { ok: true, method: 'private_key_jwt', clientId, assertion, via: 'body' }
}

/** Describes an Authorization header without Basic credentials in a constant sentence. */
function describeBasicError(authorization: string): string {
  return /^basic(?: |$)/i.test(authorization)
    ? 'The Authorization header must be Basic and base64 of client_id:client_secret, both form-encoded.'
    : 'Clients authenticate by the scheme Basic here; public clients, and client_secret in the body, need no Authorization header.'
}

/** Parses HTTP Basic credentials, whose parts are form-encoded (RFC 6749 section 2.3.1). Returns null for any other text. */
export function parseBasic(authorization: string): { clientId: string; secret: string } | null {
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(authorization)?.[1]
  if (encoded === undefined) return null
  const text = utf8(Buffer.from(encoded, 'base64'))
  const colon = text?.indexOf(':') ?? -1
  if (text === null || colon === -1) return null
  const clientId = decodeComponent(text.slice(0, colon))
  const secret = decodeComponent(text.slice(colon + 1))
  return clientId === null || clientId === '' || secret === null ? null : { clientId, secret }
}

function utf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}

function reject(response: PlainResponse): Credentials {
  return { ok: false, response }
}
