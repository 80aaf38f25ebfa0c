import { ConfigurationError } from '@baton/core'
import { demandClientKeys } from './assertion.js'
import { demandCertificates, demandTlsSubject } from './certificate.js'
import { type Client, type ClientRegistry, wayOf } from './client.js'
import { hashSecret, isSecretHash } from './secret.js'

const MOST_ID_BYTES = 1024
const KNOWN = [
  'clientId',
  'secret',
  'secretHashes',
  'keys',
  'tlsSubject',
  'certificates',
  'certificateBoundAccessTokens',
  'grantTypes',
  'dpopBoundAccessTokens',
  'introspects',
  'firstParty',
  'validAfter',
  'rotation',
]

/** A client in a list. */
export interface StaticClient extends Client {
  /** The secret itself, for small set-ups: hashed at once and not kept. */
  readonly secret?: string
}

/** Where an endpoint finds clients: a list, or a registry of yours. */
export type Clients = ClientRegistry | readonly StaticClient[]

/** Turns a list into a registry; a registry passes. Throws `ConfigurationError` for a list that cannot be meant. */
export function clientRegistry(clients: Clients): ClientRegistry {
  if (!isList(clients)) {
    if (typeof (clients as Partial<ClientRegistry> | null | undefined)?.find === 'function') return clients
    throw new ConfigurationError('clients', 'is neither a list of clients nor an object with find(clientId)')
  }
  const byId = new Map<string, Client>()
  for (const [index, client] of clients.entries()) {
    const option = `clients[${String(index)}]`
    checkStatic(client, option)
    if (byId.has(client.clientId))
      throw new ConfigurationError(`${option}.clientId`, `${JSON.stringify(client.clientId)} is in the list already`)
    byId.set(client.clientId, withoutSecret(client))
  }
  return { find: async (clientId) => byId.get(clientId) ?? null }
}

/** An id longer than any client can have need not be looked up. */
export function isClientId(clientId: unknown): clientId is string {
  return (
    typeof clientId === 'string' &&
    clientId !== '' &&
    Buffer.byteLength(clientId) <= MOST_ID_BYTES &&
    // NUL, or half of a surrogate pair, which only a body parser lets through.
    !/[\0\p{Surrogate}]/u.test(clientId)
  )
}

function withoutSecret({ secret, ...client }: StaticClient): Client {
  if (secret === undefined) return client
  return { ...client, secretHashes: [...(client.secretHashes ?? []), hashSecret(secret)] }
}

function checkStatic(client: StaticClient, option: string): void {
  for (const name of Object.keys(client)) {
    if (!KNOWN.includes(name))
      throw new ConfigurationError(`${option}.${name}`, `is not known of a client; known are ${KNOWN.join(', ')}`)
  }
  if (!isClientId(client.clientId))
    throw new ConfigurationError(
      `${option}.clientId`,
      `is not a string of 1 to ${String(MOST_ID_BYTES)} bytes without NUL`,
    )
  const { introspects }: { readonly introspects?: unknown } = client
  if (
    introspects !== undefined &&
    !(Array.isArray(introspects) && introspects.every((name) => typeof name === 'string'))
  )
    throw new ConfigurationError(`${option}.introspects`, 'is not a list of audiences')
  const { firstParty }: { readonly firstParty?: unknown } = client
  if (firstParty !== undefined && typeof firstParty !== 'boolean')
    throw new ConfigurationError(`${option}.firstParty`, `must be true or false, got ${JSON.stringify(firstParty)}`)
  // An unset environment variable must not turn a confidential client into a public one.
  if ('secret' in client && (typeof client.secret !== 'string' || client.secret === ''))
    throw new ConfigurationError(`${option}.secret`, 'is empty; leave it out for a public client')
  if ('secretHashes' in client) demandHashes(`${option}.secretHashes`, client.secretHashes)
  if ('keys' in client) demandClientKeys(`${option}.keys`, client.keys)
  if ('tlsSubject' in client) demandTlsSubject(`${option}.tlsSubject`, client.tlsSubject)
  if ('certificates' in client) demandCertificates(`${option}.certificates`, client.certificates)
  wayOf(withoutSecret(client))
}

function demandHashes(option: string, hashes: unknown): void {
  if (Array.isArray(hashes) && hashes.length > 0 && hashes.every(isSecretHash)) return
  throw new ConfigurationError(
    option,
    'is not a list of hashes made by hashClientSecret; leave it out for a public client',
  )
}

function isList(clients: Clients): clients is readonly StaticClient[] {
  return Array.isArray(clients)
}
