const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The parts of a JWT in compact serialization (RFC 7519 section 3), each in base64url. */
export interface CompactJwt {
  readonly header: string
  readonly payload: string
  readonly signature: string
  /** The text that is signed. */
  readonly signedText: string
}

/** Returns true for three parts in the alphabet of base64url. Decoders ignore white space, but a token has exactly one spelling. */
export function isCompactJwt(text: string): boolean {
  return COMPACT.test(text)
}

/** Returns the parts of a JWT, or null for any other text. */
export function splitJwt(text: string): CompactJwt | null {
  if (!isCompactJwt(text)) return null
  const [headerEnd, payloadEnd] = [text.indexOf('.'), text.lastIndexOf('.')]
  return {
    header: text.slice(0, headerEnd),
    payload: text.slice(headerEnd + 1, payloadEnd),
    signature: text.slice(payloadEnd + 1),
    signedText: text.slice(0, payloadEnd),
  }
}

/** Decodes base64url. Returns null for any spelling but the canonical one, so that the holder of a token cannot spell it differently. */
export function decodeCanonical(part: string): Uint8Array | null {
  const bytes = Buffer.from(part, 'base64url')
  return bytes.toString('base64url') === part ? bytes : null
}

/** Decodes a header or payload: a JSON object in canonical base64url. Returns null for any other text. */
export function decodeObject(part: string): Readonly<Record<string, unknown>> | null {
  const bytes = decodeCanonical(part)
  return bytes === null ? null : parseJsonObject(bytes)
}

/** Parses a JSON object in strict UTF-8. Returns null for other bytes. */
export function parseJsonObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(strictUtf8.decode(bytes))
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
