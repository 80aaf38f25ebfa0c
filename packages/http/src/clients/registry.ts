import { ConfigurationError } from '@baton/core'
import { describeValue, optional, type OptionsOf, type Rule, text } from '@baton/core/options'
import {
  authMethods,
  type Client,
  clientMetadata,
  type ClientRegistry,
  type TokenEndpointAuthMethod,
} from './client.js'
import { hashSecret } from './secret.js'

const staticClient = clientMetadata.extend({
  /** The secret itself, in a list of clients only. It is hashed at once and not kept. */
  secret: optional(plainSecret()),
})

/** A client in a list. */
export type StaticClient = OptionsOf<typeof staticClient>

/** Where an endpoint looks up clients: a list, or your own registry. */
export type Clients = ClientRegistry | readonly StaticClient[]

/** A secret of any length: its hash never leaves this process. */
function plainSecret(): Rule<string> {
  const expected = 'text that is not empty'
  return {
    expected,
    parse(value, option) {
      if (typeof value === 'string' && value !== '') return value
      throw new ConfigurationError(
        option,
        `must be ${expected}, got ${describeValue(value)}; omit it for a public client`,
      )
    },
  }
}

/** Returns a registry for a list of clients, or the given registry. Throws `ConfigurationError` for an invalid list. */
export function clientRegistry(clients: Clients): ClientRegistry {
  if (!isList(clients)) {
    if (typeof (clients as Partial<ClientRegistry> | null | undefined)?.find === 'function') return clients
    throw new ConfigurationError(
      'clients',
      `must be a list of clients or an object with find(clientId), got ${describeValue(clients)}`,
    )
  }
  const byId = new Map<string, Client>()
  for (const [index, given] of clients.entries()) {
    const client = parseStaticClient(given, `clients[${String(index)}]`)
    if (byId.has(client.clientId))
      throw new ConfigurationError(
        `clients[${String(index)}].clientId`,
        `must be unique, got ${JSON.stringify(client.clientId)}, the id of an earlier client`,
      )
    byId.set(client.clientId, client)
  }
  return { find: async (clientId) => byId.get(clientId) ?? null }
}

/** Returns true if a client of these may authenticate by this method. The clients of a registry are not known beforehand. */
export function mayHaveAuthMethod(clients: Clients, method: TokenEndpointAuthMethod): boolean {
  return !isList(clients) || clients.some((client) => authMethods(client).includes(method))
}

/** Returns true if `clientId` can be the id of a client, so that the registry is asked. */
export function isClientId(clientId: unknown): clientId is string {
  try {
    text().parse(clientId, 'clientId')
    return true
  } catch {
    return false
  }
}

const CREDENTIALS = ['secret', 'secretHashes', 'jwks', 'tokenEndpointAuthMethod'] as const

function parseStaticClient(given: StaticClient, option: string): Client {
  const { secret, ...client } = staticClient.parse('a client', given, `${option}.`)
  // An unset environment variable must not turn a confidential client into a public one.
  for (const name of CREDENTIALS)
    if (name in given && given[name] === undefined)
      throw new ConfigurationError(`${option}.${name}`, 'must not be undefined; omit it for a public client')
  authMethods({ ...client, secret }, `${option}.`)
  return secret === undefined
    ? client
    : { ...client, secretHashes: [...(client.secretHashes ?? []), hashSecret(secret)] }
}

export function isList(clients: Clients): clients is readonly StaticClient[] {
  return Array.isArray(clients)
}
