import { ConfigurationError } from '@baton/core'
import { type PlainRequest, type PlainResponse, soleHeader } from './message.js'
import { invalidRequest } from './responses.js'

/** Longest body that is read, in bytes. */
export const MAX_BODY_BYTES = 65_536

export type Text =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: true; readonly parsed: unknown }
  | { readonly ok: false; readonly response: PlainResponse }

/** Returns the media type of a request in lower case, without parameters; null if the header is missing or repeated. */
export function mediaTypeOf(request: PlainRequest): string | null {
  return soleHeader(request, 'content-type')?.split(';')[0]?.trim().toLowerCase() ?? null
}

/** Rejects a request whose media type is another, or whose charset is not UTF-8; null for the right one. */
export function rejectOtherMediaType(request: PlainRequest, expected: string): PlainResponse | null {
  const values = request.headers['content-type'] ?? []
  const [value, repeated] = values
  if (value === undefined) return invalidRequest(`Content-Type is missing; send ${expected}.`)
  if (repeated !== undefined) return invalidRequest('Content-Type is repeated.')
  const [, ...parameters] = value.split(';').map((part) => part.trim().toLowerCase())
  if (mediaTypeOf(request) !== expected) return invalidRequest(`Content-Type must be ${expected}.`)
  const charset = parameters.find((parameter) => parameter.startsWith('charset='))?.slice('charset='.length)
  const isUtf8 = charset === undefined || /^"?utf-?8"?$/.test(charset)
  return isUtf8 ? null : invalidRequest('The charset of the Content-Type must be UTF-8.')
}

/**
 * Reads a bounded body as strict UTF-8, or hands on what a parser in front of us has made of it. Throws `ConfigurationError` where others have
 * taken it away.
 */
export async function readText(request: PlainRequest): Promise<Text> {
  const { body } = request
  if (body.kind === 'stream') {
    let bytes: Uint8Array | null
    try {
      bytes = await body.read(MAX_BODY_BYTES)
    } catch (cause) {
      if (cause instanceof ConfigurationError) throw cause
      // Usually the client closed the connection, and nothing is wrong here.
      return { ok: false, response: invalidRequest('The connection broke before the body was complete.') }
    }
    return textOf(bytes)
  }
  // The parser may have allowed more than we do.
  if (Number(soleHeader(request, 'content-length')) > MAX_BODY_BYTES) return { ok: false, response: tooLarge() }
  const { value } = body
  if (value === undefined && hasContent(request))
    throw new ConfigurationError(
      'body',
      'was read before this handler, which does not know its content; mount the handler first, or pass on what the parser returned',
    )
  // A parser that is less strict than ours has put U+FFFD where the bytes were not UTF-8.
  if (typeof value === 'string') return value.includes('\ufffd') ? badlyEncoded() : textOf(Buffer.from(value))
  if (value instanceof Uint8Array) return textOf(value)
  return { ok: true, parsed: value }
}

function hasContent(request: PlainRequest): boolean {
  const length = soleHeader(request, 'content-length')
  return request.headers['transfer-encoding'] !== undefined || (length !== null && Number(length) > 0)
}

export function tooLarge(): PlainResponse {
  return invalidRequest(`The body is longer than ${String(MAX_BODY_BYTES)} bytes.`, 413)
}

/** The same response for invalid bytes and invalid escapes, which look alike after a body parser. */
export function badlyEncoded(): { readonly ok: false; readonly response: PlainResponse } {
  return { ok: false, response: invalidRequest('The body must be UTF-8, with valid percent-encoding and without NUL.') }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function textOf(bytes: Uint8Array | null): Text {
  if (bytes === null || bytes.byteLength > MAX_BODY_BYTES) return { ok: false, response: tooLarge() }
  try {
    return { ok: true, text: strictUtf8.decode(bytes) }
  } catch {
    return badlyEncoded()
  }
}

/** The entries of a plain object; null for anything else. */
export function entriesOf(value: unknown): [name: string, value: unknown][] | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype ? Object.entries(value) : null
}
