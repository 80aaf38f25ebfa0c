import { Fault, MisuseError } from '@baton/core'
import type { Exchange } from '../endpoint.js'
import type { Form } from '../form.js'
import type { PlainResponse } from '../message.js'
import { invalidClient, tooManyRequests } from '../respond.js'
import type { Client, ClientRegistry } from './client.js'
import { credentialsOf } from './credentials.js'
import { isClientId } from './registry.js'
import { isSecretHash, isSecretOf } from './secret.js'

export type Authentication =
  | {
      readonly ok: true
      readonly client: Client
      /** It proved who it is; false for a public client, which only said so. */
      readonly confidential: boolean
    }
  | { readonly ok: false; readonly response: PlainResponse }

/**
 * Finds out which client is asking. A client that does not exist, a wrong secret, a secret from a public client and no secret from
 * a confidential one all get the same answer after the same work. Throws `Fault` when the registry is out.
 */
export async function authenticateClient(
  { request, transport, limits }: Exchange,
  form: Form,
  registry: ClientRegistry,
): Promise<Authentication> {
  const credentials = credentialsOf(request, form)
  if (!credentials.ok) return credentials
  const { clientId, method } = credentials
  if (method === 'none') {
    const client = await find(registry, clientId)
    if (client === null || hashesOf(client) !== null) return { ok: false, response: invalidClient('body') }
    return { ok: true, client, confidential: false }
  }

  // Only those who send secrets are counted and held up: users of a public client share no bucket.
  const wait = await limits.beforeAuthentication(clientId, transport.address)
  if (wait !== null) return { ok: false, response: tooManyRequests(wait) }
  const client = await find(registry, clientId)
  const isGenuine = isSecretOf(client && hashesOf(client), credentials.secret)
  if (client !== null && isGenuine) return { ok: true, client, confidential: true }
  const exhausted = await limits.afterFailure(clientId, transport.address)
  const via = method === 'client_secret_basic' ? 'header' : 'body'
  return { ok: false, response: exhausted === null ? invalidClient(via) : tooManyRequests(exhausted) }
}

/** Null for a public client. */
function hashesOf({ clientId, secretHashes }: Client): readonly string[] | null {
  if (secretHashes === undefined) return null
  if (!secretHashes.every(isSecretHash))
    throw new MisuseError('secretHashes', `of client ${clientId} are not all made by hashClientSecret`)
  return secretHashes
}

async function find(registry: ClientRegistry, clientId: string): Promise<Client | null> {
  if (!isClientId(clientId)) return null
  let client: Client | null
  try {
    client = await registry.find(clientId)
  } catch (cause) {
    throw new Fault('hook_failed', 'clients.find threw', { cause })
  }
  // A registry that compares without case, as some databases do, must not make two ids one.
  return client?.clientId === clientId ? client : null
}
