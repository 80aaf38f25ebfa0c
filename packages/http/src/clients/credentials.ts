import { decodeComponent, type Form } from '../messages/form.js'
import type { PlainRequest, PlainResponse } from '../messages/message.js'
import { assertedClient } from './assertion.js'
import { error, invalidClient, invalidRequest } from '../messages/responses.js'

/** How a request says which client it is from. */
export type Credentials =
  | (Named & { readonly method: 'none' })
  | (Named & { readonly method: 'client_secret_basic' | 'client_secret_post'; readonly secret: string })
  | (Named & { readonly method: 'private_key_jwt'; readonly assertion: string })
  | { readonly ok: false; readonly response: PlainResponse }

interface Named {
  readonly ok: true
  readonly clientId: string
  /** Where the client was named: a rejection has a challenge if it was the Authorization header (RFC 6749 section 5.2). */
  readonly via: 'header' | 'body'
}

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Reads the one way in which the client names itself (RFC 6749 section 2.3); more than one is refused. Pure. */
export function credentialsOf(request: PlainRequest, form: Form): Credentials {
  const authorizations = request.headers['authorization'] ?? []
  const clientId = form.get('client_id')
  const secret = form.get('client_secret')
  const asserts = form.get('client_assertion') !== null || form.get('client_assertion_type') !== null
  const methods = authorizations.length + (secret === null ? 0 : 1) + (asserts ? 1 : 0)
  const [authorization, repeated] = authorizations
  if (repeated !== undefined) return refuse(invalidRequest('The Authorization header is repeated.'))
  if (methods > 1)
    return refuse(
      invalidRequest('Use one of Authorization, client_secret and client_assertion; the request has more than one.'),
    )

  if (authorization !== undefined) {
    const pair = parseBasic(authorization)
    if (pair === null) return refuse(invalidClient('header', basicFault(authorization)))
    // Beside the header, client_id is no second method as long as it says the same.
    if (clientId !== null && clientId !== pair.clientId)
      return refuse(invalidRequest('client_id differs from the Authorization header.'))
    // Some clients send Basic also where they have no secret (RFC 6749 section 2.3.1 allows an empty one).
    const { clientId: named, secret: sent } = pair
    return sent === ''
      ? { ok: true, method: 'none', clientId: named, via: 'header' }
      : { ok: true, method: 'client_secret_basic', clientId: named, secret: sent, via: 'header' }
  }
  if (asserts) return assertionIn(form)
  if (clientId === null) return refuse(error('invalid_client', { description: 'client_id is missing.' }))
  return secret === null
    ? { ok: true, method: 'none', clientId, via: 'body' }
    : { ok: true, method: 'client_secret_post', clientId, secret, via: 'body' }
}

/** RFC 7523 section 2.2. Beside the assertion, client_id is no second method as long as it says the same (RFC 7521 section 4.2). */
function assertionIn(form: Form): Credentials {
  const assertion = form.get('client_assertion')
  if (assertion === null) return refuse(invalidClient('body', 'client_assertion is missing.'))
  if (form.get('client_assertion_type') !== ASSERTION_TYPE)
    return refuse(invalidClient('body', `client_assertion_type must be ${ASSERTION_TYPE}.`))
  const clientId = assertedClient(assertion)
  if (clientId === null)
    return refuse(invalidClient('body', 'client_assertion must be a JWT whose iss and sub are the same client_id.'))
  if (clientId !== (form.get('client_id') ?? clientId))
    return refuse(invalidClient('body', 'client_id differs from the subject of client_assertion.'))
  return { ok: true, method: 'private_key_jwt', clientId, assertion, via: 'body' }
}

/** A fixed sentence: what is wrong with an Authorization header that has no Basic credentials. */
function basicFault(authorization: string): string {
  return /^basic(?: |$)/i.test(authorization)
    ? 'The Authorization header must be Basic and base64 of client_id:client_secret, both form-encoded.'
    : 'Clients authenticate by the scheme Basic here; public clients, and client_secret in the body, need no Authorization header.'
}

/**
 * Reads HTTP Basic credentials as OAuth means them: both halves are form-encoded before they are joined (RFC 6749 section 2.3.1).
 * Null for anything that is not that. Pure, and total.
 */
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

function refuse(response: PlainResponse): Credentials {
  return { ok: false, response }
}
