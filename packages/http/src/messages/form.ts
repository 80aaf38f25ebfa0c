import { badlyEncoded, entriesOf, MAX_BODY_BYTES, readText, rejectOtherMediaType, tooLarge } from './body.js'
import type { PlainRequest, PlainResponse } from './message.js'
import { invalidRequest } from './responses.js'

const MAX_PARAMETERS = 100
const TOO_MANY = `There are more than ${String(MAX_PARAMETERS)} parameters.`

/** Parameters that may come once only (RFC 6749 section 3.2), also where this endpoint has no use for them. */
const ONCE: ReadonlySet<string> = new Set([
  'grant_type',
  'refresh_token',
  'code',
  'redirect_uri',
  'code_verifier',
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'scope',
  'token',
  'token_type_hint',
])

/** By their own specification these may repeat (RFC 8707 section 2). */
const REPEATABLE: ReadonlySet<string> = new Set(['resource'])

/** The parameters that this server knows; others are ignored. One without a value counts as absent. */
export interface Form {
  get(name: string): string | null
  all(name: string): readonly string[]
}

export type ReadForm =
  { readonly ok: true; readonly form: Form } | { readonly ok: false; readonly response: PlainResponse }

/**
 * Reads an application/x-www-form-urlencoded body: flat, bounded, strict about UTF-8 and percent signs. Also takes what a body
 * parser in front of us has left, as long as its values are strings. `ownParameters` are further parameters that are read and must
 * not be repeated.
 */
export async function readForm(request: PlainRequest, ownParameters: readonly string[] = []): Promise<ReadForm> {
  const rejected = rejectOtherMediaType(request, 'application/x-www-form-urlencoded')
  if (rejected !== null) return { ok: false, response: rejected }
  const body = await readText(request)
  if (!body.ok) return body
  const single = ownParameters.length === 0 ? ONCE : new Set([...ONCE, ...ownParameters])
  return 'text' in body ? parseForm(body.text, single) : adoptForm(body.parsed, single)
}

/** Parses the text of a form. Pure, and total. */
export function parseForm(text: string, single: ReadonlySet<string> = ONCE): ReadForm {
  const parts = text.split('&')
  const count = parts.length > MAX_PARAMETERS ? parts.filter((part) => part !== '').length : parts.length
  if (count > MAX_PARAMETERS) return reject(TOO_MANY)
  const values = new Map<string, string[]>()
  for (const part of parts) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const name = decodeComponent(equals === -1 ? part : part.slice(0, equals))
    const value = decodeComponent(equals === -1 ? '' : part.slice(equals + 1))
    if (name === null || value === null) return badlyEncoded()
    add(values, name, value)
  }
  return checked(values, single)
}

/** Decodes one name or value of a form; null where the encoding is broken or it holds a NUL. */
export function decodeComponent(text: string): string | null {
  try {
    const isEncoded = text.includes('%') || text.includes('+')
    const decoded = isEncoded ? decodeURIComponent(text.replaceAll('+', ' ')) : text
    return decoded.includes('\0') ? null : decoded
  } catch {
    return null
  }
}

/** Converts a form that a body parser has read. Values other than strings and lists of strings are rejected. */
function adoptForm(parsed: unknown, single: ReadonlySet<string>): ReadForm {
  const entries = entriesOf(parsed ?? {})
  if (entries === null) return reject('The body is not a form.')
  const values = new Map<string, string[]>()
  let count = 0
  let length = 0
  for (const [name, value] of entries) {
    const items = listOf(value) ?? [value]
    count += items.length
    if ((!single.has(name) && !REPEATABLE.has(name)) || isUnpacked(value)) continue
    for (const item of items) {
      // A parser that is less strict than ours has put U+FFFD where the bytes were not UTF-8.
      if (typeof item !== 'string' || /[\0\ufffd]/.test(item)) return badlyEncoded()
      add(values, name, item)
      length += item.length
    }
  }
  if (count > MAX_PARAMETERS) return reject(TOO_MANY)
  return length > MAX_BODY_BYTES ? { ok: false, response: tooLarge() } : checked(values, single)
}

/** What a parser with a taste for structure has made of `name[]=x` or `name[a]=x`: to us, other parameters than `name`. */
function isUnpacked(value: unknown): boolean {
  const list = listOf(value)
  return list === null ? entriesOf(value) !== null : list.length === 1
}

/** A list, also one that was too long for its parser and became an object with the indices for names. Null for anything else. */
function listOf(value: unknown): readonly unknown[] | null {
  if (Array.isArray(value)) return value as unknown[]
  const entries = entriesOf(value)
  return entries?.[0]?.[0] === '0' ? entries.map(([, item]) => item) : null
}

function checked(values: ReadonlyMap<string, readonly string[]>, single: ReadonlySet<string>): ReadForm {
  for (const [name, { length }] of values) {
    if (length > 1 && single.has(name)) return reject(`The parameter ${name} is repeated.`)
  }
  return {
    ok: true,
    form: {
      get: (name) => values.get(name)?.find(hasValue) ?? null,
      all: (name) => values.get(name)?.filter(hasValue) ?? [],
    },
  }
}

function hasValue(value: string): boolean {
  return value !== ''
}

function add(values: Map<string, string[]>, name: string, value: string): void {
  const before = values.get(name)
  if (before === undefined) values.set(name, [value])
  else before.push(value)
}

function reject(description: string): ReadForm {
  return { ok: false, response: invalidRequest(description) }
}
