import { createHash, timingSafeEqual } from 'node:crypto'
import type { ForeignTokens } from '@baton/core'
import { type GrantFields, grantOf, identifierOf, type ImportOptions } from './grants.js'

export type SqlRow = Readonly<Record<string, unknown>>

/** Runs one statement with one value and gives the rows: `(sql, values) => pool.query(sql, values).then(({ rows }) => rows)`. */
export type SqlQuery = (sql: string, values: [string]) => Promise<readonly unknown[]> | readonly unknown[]

export interface SqlTokensOptions extends ImportOptions {
  readonly query: SqlQuery
  /**
   * Selects the row of a token that is still good: not expired, not revoked, not used. Its one parameter, in the way of your
   * database, is what stands in the table; the row must have that as `token`, and `subject`, and may have `client_id`, `scope`,
   * `created_at`, `expires_at`, `absolute_expires_at`, `bound_key` and `offline`. Name your columns so with `AS`.
   */
  readonly find: string
  /** Deletes or marks the row once its token has been exchanged; the same parameter. It may run more than once. */
  readonly moved?: string
  /** What stands in the table: the token itself (the default), a digest of it, or what your function makes of it. */
  readonly stored?: 'plain' | 'sha256-hex' | 'sha256-base64' | 'sha256-base64url' | ((token: string) => string)
  /** Makes of a row what the columns do not say; null refuses the token. Default: the columns named above. */
  readonly grant?: (row: SqlRow) => GrantFields | null
}

/** Accepts tokens, plain or hashed, from a table of any SQL database. Throws `TypeError` for options that cannot work. */
export function sqlTokens(options: SqlTokensOptions): ForeignTokens {
  const { query, find, moved, stored = 'plain', grant = columnsOf } = options
  if (typeof query !== 'function') throw new TypeError('sqlTokens: query is not a function')
  if (typeof find !== 'string') throw new TypeError('sqlTokens: find is not a statement')
  const storedAs = typeof stored === 'function' ? stored : storages[stored]
  if (typeof storedAs !== 'function')
    throw new TypeError(`sqlTokens: stored is none of ${Object.keys(storages).join(', ')}`)

  // Text that has the form of a token, or that is a digest, fits the column unless the column is the wrong one.
  const isArbitraryText = stored === 'plain' && options.matches === undefined

  async function select(key: string): Promise<readonly unknown[]> {
    try {
      return await query(find, [key])
    } catch (error) {
      if (isArbitraryText && isDataException(error)) return []
      throw error
    }
  }

  return {
    identify: identifierOf(options),
    async find(token) {
      const key = storedAs(token)
      // Many databases compare without case or trailing spaces: another spelling would start a second family.
      const rows = (await select(key)).map(toTokenRow).filter((row) => isSame(row.token, key))
      if (rows.length > 1) throw new Error('sqlTokens: find selected several rows for one token')
      const [row] = rows
      const fields = row === undefined ? null : grant(row)
      return fields === null ? null : grantOf(fields, options)
    },
    ...(moved === undefined ? {} : { moved: async (token) => query(moved, [storedAs(token)]) }),
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

const sha256 = (encoding: 'hex' | 'base64' | 'base64url') => (token: string) =>
  createHash('sha256').update(token).digest(encoding)

const storages = {
  plain: (token: string) => token,
  'sha256-hex': sha256('hex'),
  'sha256-base64': sha256('base64'),
  'sha256-base64url': sha256('base64url'),
}

/** Drivers and columns differ in what they make of a value; whatever is not what it should be is refused as a fault by core. */
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

/** `jkt:…` or `x5t#S256:…`. Anything else is passed on as it is, and core rejects it. */
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
