import {
  boolean,
  declareOptions,
  instant,
  listOf,
  nullable,
  optional,
  type OptionsOf,
  required,
  type Resolved,
  type Rule,
  text,
  withDefault,
} from '../options.js'
import { confirmation } from './confirmation.js'
import { ConfigurationError } from './errors.js'
import type { FamilyGrant } from './family.js'
import { distinctResources, isResource } from './resource.js'
import { parseScope } from './scope.js'
import { TEXT_LIMITS } from './text-limits.js'
import { assertObject, describeValue } from './validate.js'

/** The client id of your own pages and apps, which need no registration. */
export const FIRST_PARTY = 'first-party'

const { scopeBytes, audienceEntries, amrEntries, metadataBytes } = TEXT_LIMITS
const resourceText = text()

const scope: Rule<string> = {
  expected: `scope tokens separated by single spaces, at most ${String(scopeBytes)} characters`,
  parse(value, option) {
    if (typeof value !== 'string')
      throw new ConfigurationError(
        option,
        `must be a string, got ${describeValue(value)}; join a list by single spaces`,
      )
    if (value.length > scopeBytes)
      throw new ConfigurationError(
        option,
        `must be at most ${String(scopeBytes)} characters long, got ${String(value.length)}; name groups of permissions instead`,
      )
    const tokens = parseScope(value)
    if (tokens !== null) return tokens.join(' ')
    throw new ConfigurationError(
      option,
      'must match the grammar of RFC 6749 section 3.3; separate tokens by single spaces',
    )
  },
}

const audience: Rule<readonly string[]> = {
  expected: `a list of at most ${String(audienceEntries)} resources`,
  parse(value, option) {
    if (!Array.isArray(value) || value.length > audienceEntries)
      throw new ConfigurationError(
        option,
        `must be ${audience.expected}, got ${Array.isArray(value) ? `a list of ${String(value.length)}` : describeValue(value)}`,
      )
    return distinctResources(value.map((each) => parseResource(each, option)))
  },
}

function parseResource(value: unknown, option: string): string {
  const resource = resourceText.parse(value, option)
  if (isResource(resource)) return resource
  throw new ConfigurationError(
    option,
    `must not contain a fragment or a relative reference (RFC 8707 section 2), got ${describeValue(resource)}; use the absolute URL of the API, or a name`,
  )
}

/** Returns a copy that is plain JSON, so that every store returns what it was given. */
const metadata: Rule<Readonly<Record<string, unknown>>> = {
  expected: `an object of at most ${String(metadataBytes)} bytes as JSON`,
  parse(value, option) {
    assertObject(option, value)
    const json = toJson(value)
    const copy: unknown = json === undefined ? undefined : JSON.parse(json)
    assertObject(option, copy)
    const size = Buffer.byteLength(json ?? '')
    if (size > metadataBytes)
      throw new ConfigurationError(
        option,
        `must be at most ${String(metadataBytes)} bytes of JSON, got ${String(size)}; store larger data in your own database, by family id`,
      )
    return { ...copy }
  },
}

/** Returns undefined for a value that JSON cannot represent, such as a cycle. */
function toJson(value: object): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

/** The options of a grant whose key is not known yet. */
export const reservableGrantOptions = declareOptions({
  /** The id of the user who signed in. At most 1024 bytes. */
  subject: required(text()),
  /** Default `first-party`. A token works only for the client that it was issued to. At most 1024 bytes. */
  clientId: withDefault(text(), FIRST_PARTY),
  /** Space-separated (RFC 6749 section 3.3), at most 4096 characters. Cannot grow later. */
  scope: withDefault(scope, ''),
  /**
   * Resource servers of the grant (RFC 8707), at most 64 of at most 1024 bytes each. Cannot grow later. URLs that differ only in the case of
   * scheme or host, the default port or an empty path are the same resource; the first spelling is kept.
   */
  audience: withDefault(audience, []),
  /** True for offline_access: the family has the policy's offline limits. */
  offline: withDefault(boolean(), false),
  /** Shown in session lists, such as the user agent; at most 4096 bytes of JSON. */
  metadata: withDefault(metadata, {}),
  /** When the user was authenticated, in epoch milliseconds: `auth_time` of access tokens (RFC 9068 section 2.2.1). Default: unknown. */
  authTime: optional(instant()),
  /** The authentication context class, such as `urn:example:two-factor`: `acr` of access tokens. At most 1024 bytes. */
  acr: optional(text()),
  /** The authentication methods, such as `pwd` and `otp` (RFC 8176): `amr` of access tokens. At most 16. */
  amr: optional(listOf(text(), { min: 1, max: amrEntries })),
})

export const grantOptions = reservableGrantOptions.extend({
  /** The key that every request must prove: `{ jkt }` or `{ 'x5t#S256' }`, of at most 1024 bytes. Default null: a bearer token. */
  confirmation: withDefault(nullable(confirmation), null),
})

export type IssueRequest = OptionsOf<typeof grantOptions>

export type ResolvedGrant = Resolved<(typeof grantOptions)['fields']>

type AuthenticationFields = Pick<ResolvedGrant, 'authTime' | 'acr' | 'amr'>

/** Returns the members about the authentication of the user that are known: a record contains no others. */
export function knownAuthentication({
  authTime,
  acr,
  amr,
}: AuthenticationFields): Pick<FamilyGrant, keyof AuthenticationFields> {
  return {
    ...(authTime === undefined ? {} : { authTime }),
    ...(acr === undefined ? {} : { acr }),
    ...(amr === undefined ? {} : { amr }),
  }
}
