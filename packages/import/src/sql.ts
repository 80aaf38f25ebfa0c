import { createHash, timingSafeEqual } from 'node:crypto'
import type { LegacyTokenSource } from '@baton/core'
import { func, optional, type OptionsOf, required, rule, text, withDefault } from '@baton/core/options'
import { type GrantFields, grantOf, identifierOf, importOptions } from './grants.js'

const MAX_SQL_BYTES = 100_000

export type SqlRow = Readonly<Record<string, unknown>>

/** Runs one statement with one value and returns the rows: `(sql, values) => pool.query(sql, values).then(({ rows }) => rows)`. */
export type SqlQuery = (sql: string, values: [string]) => Promise<readonly unknown[]> | readonly unknown[]

const storages = {
  plain: (token: string) => token,
  'sha256-hex': sha256('hex'),
  'sha256-base64': sha256('base64'),
  'sha256-base64url': sha256('base64url'),
}

type Storage = keyof typeof storages

const STORAGES = Object.keys(storages)

const sqlTokensOptions = importOptions.extend({
  /** Runs a statement on your database. */
  query: required(func<SqlQuery>()),
  /**
   * Selects the row of a valid token: not expired, not revoked, not used. Its one parameter, in the syntax of your database, is the value
   * that the table holds. The row must have it as `token`, and `subject`, and may have `client_id`, `scope`, `created_at`,
   * `expires_at`, `absolute_expires_at`, `bound_key` and `offline`. Name your columns so with `AS`.
   */
  find: required(text({ maxBytes: MAX_SQL_BYTES })),
  /** Deletes or marks the row after its token was exchanged, with the same parameter. It may run more than once. */
  moved: optional(text({ maxBytes: MAX_SQL_BYTES })),
  /** What the table holds: `plain` (default) for the token, a digest of it (`sha256-hex`, `sha256-base64`, `sha256-base64url`), or the result of your function. */
  stored: withDefault(
    rule<Storage | ((token: string) => string)>(
      `${STORAGES.map((name) => `"${name}"`).join(', ')} or a function`,
      (value) => typeof value === 'function' || STORAGES.includes(value as string),
    ),
    'plain',
  ),
  /** Converts a row to a grant; null rejects the token. Default: the columns named at `find`. */
  grant: withDefault(func<(row: SqlRow) => GrantFields | null>(), columnsOf),
})

export type SqlTokensOptions = OptionsOf<typeof sqlTokensOptions>

/**
 * Accepts tokens, plain or hashed, from a table of any SQL database. Throws `ConfigurationError` for unknown, missing or invalid options.
 *
 * @example
 * ```ts
 * import { sqlTokens } from '@baton/import'
 * import pg from 'pg'
 *
 * const pool = new pg.Pool()
 * const legacyTokens = sqlTokens({
 *   query: async (sql, values) => (await pool.query(sql, values)).rows,
 *   find: 'SELECT token, user_id AS subject, expires_at FROM refresh_tokens WHERE token = $1 AND NOT revoked',
 *   moved: 'DELETE FROM refresh_tokens WHERE token = $1',
 *   matches: /^[0-9a-f]{80}$/,
 * })
 * ```
 */
export function sqlTokens(options: SqlTokensOptions): LegacyTokenSource {
  const parsed = sqlTokensOptions.parse('sqlTokens', options)
  const { query, find, moved, stored, grant } = parsed
  const storedAs = typeof stored === 'function' ? stored : storages[stored]

  // Text that has the form of a token, or that is a digest, fits the column unless the column is the wrong one.
  const isArbitraryText = stored === 'plain' && parsed.matches === undefined

  async function select(key: string): Promise<readonly unknown[]> {
    try {
      return await query(find, [key])
    } catch (error) {
      if (isArbitraryText && isDataException(error)) return []
      throw error
    }
  }

  return {
    normalize: identifierOf(parsed),
    async lookup(token) {
      const key = storedAs(token)
      // Many databases compare without case or trailing spaces: another spelling would start a second family.
      const rows = (await select(key)).map(toTokenRow).filter((row) => isSame(row.token, key))
      if (rows.length > 1) throw new Error('sqlTokens: find selected several rows for one token')
      const [row] = rows
      const fields = row === undefined ? null : grant(row)
      return fields === null ? null : grantOf(fields, parsed)
    },
    ...(moved === undefined ? {} : { onMigrated: async (token) => query(moved, [storedAs(token)]) }),
  }
}

/** Returns true if the value does not fit the column's type (SQLSTATE class 22), such as text for a uuid. */
function isDataException(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && typeof error.code === 'string' && /^22[0-9A-Z]{3}$/.test(error.code)
  )
}

interface TokenRow extends SqlRow {
  readonly token: string
}

function toTokenRow(row: unknown): TokenRow {
  if (isTokenRow(row)) return row
  throw new Error('sqlTokens: the row has no text as `token`; select the column that holds the token, AS token')
}

function sha256(encoding: 'hex' | 'base64' | 'base64url'): (token: string) => string {
  return (token) => createHash('sha256').update(token).digest(encoding)
}

/** The types of the values depend on driver and column. Core rejects invalid ones. */
function columnsOf(row: SqlRow): GrantFields {
  const { offline } = row as { offline?: unknown }
  return {
    subject: row['subject'],
    clientId: row['client_id'],
    scope: row['scope'],
    createdAt: row['created_at'],
    expiresAt: row['expires_at'],
    absoluteExpiresAt: row['absolute_expires_at'],
    confirmation: confirmationIn(row['bound_key']),
    // SQLite and MySQL have no booleans.
    offline: offline == null ? null : offline === true || Number(offline) === 1,
  } as GrantFields
}

/** `jkt:…` or `x5t#S256:…`. Anything else is passed on unchanged, and core rejects it. */
function confirmationIn(boundKey: unknown): unknown {
  const [, member, thumbprint] = typeof boundKey === 'string' ? (/^(jkt|x5t#S256):(.+)$/s.exec(boundKey) ?? []) : []
  return member === undefined ? boundKey : { [member]: thumbprint }
}

function isTokenRow(row: unknown): row is TokenRow {
  return typeof row === 'object' && row !== null && 'token' in row && typeof row.token === 'string'
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}
