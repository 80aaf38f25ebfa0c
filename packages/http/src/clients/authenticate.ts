import { Fault, MisuseError, type RefreshTokens } from '@baton/core'
import type { Exchange } from '../endpoint.js'
import type { Form } from '../form.js'
import { demandIssuer } from '../issuer.js'
import type { PlainResponse } from '../message.js'
import { invalidClient, tooManyRequests } from '../respond.js'
import { type AssertionAudience, demandClientKeys, isAssertionOf } from './assertion.js'
import type { Client, ClientRegistry } from './client.js'
import { type Credentials, credentialsOf } from './credentials.js'
import { type Clients, clientRegistry, isClientId } from './registry.js'
import { isSecretHash, isSecretOf, liveHashes } from './secret.js'

/** How an endpoint finds out who is asking. */
export interface ClientOptions {
  readonly clients: Clients
  /** This server's issuer, `https://login.example`: what assertions of clients with `keys` have to be addressed to, as `aud`. */
  readonly issuer?: string
  /**
   * Other names that an assertion may be addressed to, such as the URL of the token endpoint, for clients of RFC 7523 before its
   * revision. A name that another server might share lets assertions for that server work here. Default: none.
   */
  readonly assertionAudiences?: readonly string[]
}

export const CLIENT_OPTIONS = ['clients', 'issuer', 'assertionAudiences'] as const

type Authentication =
  | {
      readonly ok: true
      readonly client: Client
      /** It proved who it is; false for a public client, which only said so. */
      readonly confidential: boolean
    }
  | { readonly ok: false; readonly response: PlainResponse }

/** Finds out which client is asking. Rejects with a `Fault` when the registry or the store is out. */
export type ClientAuthenticator = (exchange: Exchange, form: Form) => Promise<Authentication>

/**
 * Authenticates each client in the one way that it has registered. A client that does not exist, a wrong proof, a proof from a public
 * client and none from a confidential one all get the same answer; with secrets, after the same work. Throws `MisuseError`.
 */
export function clientAuthenticator(memory: Pick<RefreshTokens, 'once'>, options: ClientOptions): ClientAuthenticator {
  const registry = clientRegistry(options.clients)
  const audience = audienceOf(options)

  /** Whether the client is who it says it is, by the proof that it sent. */
  async function isGenuine(client: Client | null, proof: Proof, now: number): Promise<boolean> {
    if (proof.method !== 'private_key_jwt') return isSecretOf(client && hashesOf(client, now), proof.secret)
    if (client?.keys === undefined) return false
    const { clientId, keys } = client
    demandOneWay(client)
    demandClientKeys(`keys of client ${clientId}`, keys)
    if (audience === null)
      throw new MisuseError(
        'issuer',
        `is missing, and client ${clientId} has keys: assertions have to be addressed to it`,
      )
    return isAssertionOf(proof.assertion, { clientId, keys, audience, memory, now })
  }

  return async ({ request, transport, limits, now }, form) => {
    const credentials = credentialsOf(request, form)
    if (!credentials.ok) return credentials
    const { clientId, method } = credentials
    if (method === 'none') {
      const client = await findClient(registry, clientId)
      if (client === null || !isPublic(client)) return { ok: false, response: invalidClient('body') }
      return { ok: true, client, confidential: false }
    }

    // Only those who send proofs are counted and held up: users of a public client share no bucket.
    const wait = await limits.beforeAuthentication(clientId, transport.address)
    if (wait !== null) return { ok: false, response: tooManyRequests(wait) }
    const client = await findClient(registry, clientId)
    if ((await isGenuine(client, credentials, now)) && client !== null) return { ok: true, client, confidential: true }
    const exhausted = await limits.afterFailure(clientId, transport.address)
    const via = method === 'client_secret_basic' ? 'header' : 'body'
    return { ok: false, response: exhausted === null ? invalidClient(via) : tooManyRequests(exhausted) }
  }
}

type Proof = Exclude<Extract<Credentials, { ok: true }>, { method: 'none' }>

function isPublic({ secretHashes, keys }: Client): boolean {
  return secretHashes === undefined && keys === undefined
}

/** Null for a client that has no secrets. */
function hashesOf(client: Client, now: number): readonly string[] | null {
  const { clientId, secretHashes } = client
  if (secretHashes === undefined) return null
  demandOneWay(client)
  if (!secretHashes.every(isSecretHash))
    throw new MisuseError('secretHashes', `of client ${clientId} are not all made by hashClientSecret`)
  return liveHashes(secretHashes, now)
}

/** With two ways in, the weaker one would count. */
function demandOneWay({ clientId, secretHashes, keys }: Client): void {
  if (secretHashes !== undefined && keys !== undefined)
    throw new MisuseError('keys', `and secretHashes of client ${clientId}: a client authenticates in one way`)
}

/** Null for an unknown client. Rejects with a `Fault` when the registry is out. */
export async function findClient(registry: ClientRegistry, clientId: string): Promise<Client | null> {
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

function audienceOf({ clients, issuer, assertionAudiences = [] }: ClientOptions): AssertionAudience | null {
  const others: unknown = assertionAudiences
  if (!Array.isArray(others) || !others.every((name) => typeof name === 'string' && name !== ''))
    throw new MisuseError('assertionAudiences', 'is not a list of names, such as the URL of the token endpoint')
  if (issuer !== undefined) {
    demandIssuer(issuer)
    return { issuer, others: assertionAudiences }
  }
  if (Array.isArray(clients) && clients.some((client) => 'keys' in client))
    throw new MisuseError('issuer', 'is missing: assertions of clients with keys have to be addressed to it')
  return null
}
