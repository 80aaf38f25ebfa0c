const SERVERS = ['node', 'fastify', 'koa', 'express', 'web'] as const
const STORES = ['memory', 'sqlite', 'redis', 'cluster', 'postgres'] as const
const ACCESS_TOKENS = ['sealed', 'jwt'] as const

export type ServerName = (typeof SERVERS)[number]
type StoreName = (typeof STORES)[number]
type AccessTokenName = (typeof ACCESS_TOKENS)[number]

/** The implementation under measurement. */
type Implementation =
  'baton' | 'bare' | 'floor' | 'oidc-provider' | 'oauth2-server' | 'better-auth' | 'tutorial' | 'broken'

/** One line of the table: one program in one process on one engine. */
export interface Row {
  readonly name: string
  readonly implementation: Implementation
  readonly server: ServerName
  /** Null for programs without a store. */
  readonly store: StoreName | null
  /** Null for implementations with another kind of access token. */
  readonly accessToken: AccessTokenName | null
}

function row(
  implementation: Implementation,
  server: ServerName,
  store: StoreName | null,
  accessToken: AccessTokenName | null = null,
): Row {
  const name = [implementation, server, store, accessToken].filter((part) => part !== null).join('/')
  return { name, implementation, server, store, accessToken }
}

const ours = SERVERS.flatMap((server) =>
  STORES.flatMap((store) => ACCESS_TOKENS.map((accessToken) => row('baton', server, store, accessToken))),
)

/** All rows. */
const ROWS: readonly Row[] = [
  ...SERVERS.map((server) => row('bare', server, null)),
  ...STORES.map((store) => row('floor', 'node', store)),
  ...ours,
  row('oidc-provider', 'koa', 'memory'),
  row('oidc-provider', 'koa', 'redis'),
  row('oauth2-server', 'node', 'memory'),
  row('oauth2-server', 'node', 'redis'),
  row('better-auth', 'node', 'sqlite'),
  row('tutorial', 'express', 'redis'),
  row('tutorial', 'express', 'sqlite'),
]

/** Always returns the same tokens. Not part of any table: it shows that the harness detects such a server. */
const BROKEN: Row = { ...row('broken', 'node', null), name: 'broken' }

/**
 * Returns the rows whose names contain one of these texts, or all rows without a text. Throws if a text matches no row.
 */
export function findRows(names: readonly string[]): readonly Row[] {
  if (names.length === 1 && names[0] === BROKEN.name) return [BROKEN]
  for (const name of names) {
    if (!ROWS.some((row) => row.name.includes(name)))
      throw new Error(`no row matches ${name}; the rows are ${ROWS.map((row) => row.name).join(', ')}`)
  }
  return names.length === 0 ? ROWS : ROWS.filter((row) => names.some((name) => row.name.includes(name)))
}
