import { MisuseError } from '@baton/core'
import { type PlainRequest, type PlainResponse, soleHeader } from './message.js'
import { invalidRequest } from './respond.js'

/** Longest body that is read, in bytes. */
export const MOST_BODY_BYTES = 65_536

export type Text =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: true; readonly parsed: unknown }
  | { readonly ok: false; readonly response: PlainResponse }

/** The media type without its parameters; null when there is none or more than one, or a charset other than UTF-8. */
export function mediaTypeOf(request: PlainRequest): string | null {
  const value = soleHeader(request, 'content-type')
  if (value === null) return null
  if (!value.includes(';')) return value.trim().toLowerCase()
  const [essence = '', ...parameters] = value.split(';').map((part) => part.trim().toLowerCase())
  const charset = parameters.find((parameter) => parameter.startsWith('charset='))?.slice('charset='.length)
  return charset === undefined || /^"?utf-?8"?$/.test(charset) ? essence : null
}

/**
 * Reads a bounded body as strict UTF-8, or hands on what a parser in front of us has made of it. Throws `MisuseError` where others have
 * taken it away.
 */
export async function readText(request: PlainRequest): Promise<Text> {
  const { body } = request
  if (body.kind === 'stream') {
    let bytes: Uint8Array | null
    try {
      bytes = await body.read(MOST_BODY_BYTES)
    } catch (cause) {
      if (cause instanceof MisuseError) throw cause
      // Mostly a caller that hung up: nobody is left to read the answer, and nothing is broken here.
      return { ok: false, response: invalidRequest('The body could not be read.') }
    }
    return textOf(bytes)
  }
  // The parser may have allowed more than we do.
  if (Number(soleHeader(request, 'content-length')) > MOST_BODY_BYTES) return { ok: false, response: tooLarge() }
  const { value } = body
  // A parser that is less strict than ours has put U+FFFD where the bytes were not UTF-8.
  if (typeof value === 'string') return value.includes('\ufffd') ? badlyEncoded() : textOf(Buffer.from(value))
  if (value instanceof Uint8Array) return textOf(value)
  return { ok: true, parsed: value }
}

export function tooLarge(): PlainResponse {
  return invalidRequest('The body is too large.', 413)
}

/** The same for bytes as for what stands in escapes: after a parser, nobody can tell them apart. */
export function badlyEncoded(): { readonly ok: false; readonly response: PlainResponse } {
  return { ok: false, response: invalidRequest('The body is not correctly encoded.') }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function textOf(bytes: Uint8Array | null): Text {
  if (bytes === null || bytes.byteLength > MOST_BODY_BYTES) return { ok: false, response: tooLarge() }
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
