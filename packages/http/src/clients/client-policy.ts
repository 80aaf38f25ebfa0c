import { type Confirmation, type Family, FIRST_PARTY, type Rotation } from '@baton/core'
import type { Proven } from '../proof-of-possession/dpop/proof-checker.js'
import { proofRejection } from '../proof-of-possession/dpop/with-proof.js'
import type { PlainResponse } from '../messages/message.js'
import { error, invalidClient, invalidRequest } from '../messages/responses.js'
import { type Client, isConfidential, mayUse } from './client.js'
import { findClient } from './authenticate.js'
import { type Clients, clientRegistry } from './registry.js'

export interface ClientPolicyOptions {
  /** Default: no client is registered. */
  readonly clients?: Clients | undefined
  /** Clients of the app itself that need no registration, besides `first-party`. */
  readonly ownClients?: readonly (string | undefined)[]
}

/** A request for tokens, and what it has proven about its client. */
interface TokenRequestFacts {
  readonly clientId: string
  /** The registration that `find` returned. */
  readonly client: Client | null
  readonly grantType: string
  /** The client authenticated in this request. */
  readonly confidential: boolean
  /** The result of verifying the DPoP proof of the request. */
  readonly proven: Proven
  /** The client certificate of the request; null for none. */
  readonly certificateConfirmation: Confirmation | null
}

export type Admission =
  | {
      readonly ok: true
      /** The key that the tokens are bound to; null for none. */
      readonly confirmation: Confirmation | null
      /** Families created before this instant (epoch milliseconds) are rejected; null for no limit. */
      readonly validAfter: number | null
      readonly rotation: Rotation | undefined
    }
  | { readonly ok: false; readonly response: PlainResponse }

/**
 * The rules that follow from the registrations of clients. Every endpoint that issues tokens calls `admit`, and every endpoint that uses an
 * existing session calls `onlyIfActive`, so that each rule applies at all endpoints. Rejects with an `OperationalError` if the registry fails.
 */
export interface ClientPolicy {
  /** Returns the registration of a client, or null for a client without one. */
  find(clientId: string): Promise<Client | null>
  /** Decides whether the client of a request may get tokens by this request, and under which conditions. */
  admit(facts: TokenRequestFacts): Admission
  /** Returns the family, or null if the `validAfter` of its client revoked it. */
  onlyIfActive(family: Family | null): Promise<Family | null>
  /** Returns those of the families that the `validAfter` of their client has not revoked. */
  filterActive(families: readonly Family[]): Promise<readonly Family[]>
  /** Returns true if the client is the app itself, or registered with `firstParty`. */
  isFirstParty(clientId: string): Promise<boolean>
}

/** Throws `ConfigurationError`. */
export function clientPolicy({ clients, ownClients = [] }: ClientPolicyOptions): ClientPolicy {
  const registry = clients === undefined ? null : clientRegistry(clients)
  const own = new Set([FIRST_PARTY, ...ownClients])
  const find = async (clientId: string) => (registry === null ? null : findClient(registry, clientId))

  const filterActive: ClientPolicy['filterActive'] = async (families) => {
    const ids = [...new Set(families.map(({ clientId }) => clientId))]
    const found = new Map(await Promise.all(ids.map(async (id) => [id, await find(id)] as const)))
    return families.filter((family) => {
      const validAfter = found.get(family.clientId)?.validAfter
      return validAfter === undefined || !isSuperseded(family, validAfter)
    })
  }

  return {
    find,
    filterActive,
    admit(facts) {
      const { clientId, client } = facts
      if (registry !== null && client === null && !own.has(clientId))
        return reject(error('unauthorized_client', { description: 'The client is not registered.' }))
      return client === null ? admitUnregistered(facts) : admitRegistered(client, facts)
    },
    async onlyIfActive(family) {
      if (family === null) return null
      const [active = null] = await filterActive([family])
      return active
    },
    async isFirstParty(clientId) {
      return own.has(clientId) || (await find(clientId))?.firstParty === true
    },
  }
}

/** As at a refresh: tokens contain whole seconds, so a family from the same second as `validAfter` is superseded too. */
function isSuperseded({ createdAt }: Family, validAfter: number): boolean {
  return Math.floor(createdAt / 1000) * 1000 < validAfter
}

function admitUnregistered({ proven, certificateConfirmation }: TokenRequestFacts): Admission {
  if (!proven.ok) return reject(proofRejection(proven))
  return {
    ok: true,
    confirmation: certificateConfirmation ?? proven.confirmation,
    validAfter: null,
    rotation: undefined,
  }
}

/** Checks in a fixed order, so that a request with several errors always gets the same response: client, grant type, proof, key. */
function admitRegistered(client: Client, facts: TokenRequestFacts): Admission {
  const { grantType, confidential, proven, certificateConfirmation } = facts
  if (!confidential && isConfidential(client)) return reject(invalidClient('body'))
  if (!mayUse(client, grantType))
    return reject(error('unauthorized_client', { description: 'The client is not registered for this grant type.' }))
  if (!proven.ok) return reject(proofRejection(proven))
  if (proven.confirmation === null && client.dpopBoundAccessTokens)
    return reject(error('invalid_dpop_proof', { description: 'This client must send a DPoP proof.' }))
  if (certificateConfirmation === null && client.tlsClientCertificateBoundAccessTokens)
    return reject(invalidRequest('This client must present its certificate.'))
  if (certificateConfirmation !== null && proven.confirmation !== null)
    return reject(invalidRequest('The tokens of this client are bound to its certificate; send no DPoP proof.'))
  const { validAfter = null, rotation } = client
  return { ok: true, confirmation: certificateConfirmation ?? proven.confirmation, validAfter, rotation }
}

function reject(response: PlainResponse): Admission {
  return { ok: false, response }
}
