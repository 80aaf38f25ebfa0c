const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The decoded parts of a JWT in compact serialization (RFC 7519 section 3). The signature has not been verified. */
export interface CompactJwt {
  readonly header: Readonly<Record<string, unknown>>
  readonly payload: Readonly<Record<string, unknown>>
  readonly signature: Uint8Array
  /** The text that is signed. */
  readonly signedText: string
}

/** Returns true for three parts in the alphabet of base64url. Decoders ignore white space, but a token has exactly one spelling. */
export function isCompactJwt(text: string): boolean {
  return COMPACT.test(text)
}

/**
 * Decodes a JWT. Returns null for any other text, also for a part that is not the canonical base64url of its bytes: the holder of a token
 * must not be able to spell it differently.
 */
export function decodeJwt(text: string): CompactJwt | null {
  if (!isCompactJwt(text)) return null
  const [headerEnd, payloadEnd] = [text.indexOf('.'), text.lastIndexOf('.')]
  const signature = decodeCanonical(text.slice(payloadEnd + 1))
  const header = parsePart(text.slice(0, headerEnd))
  const payload = parsePart(text.slice(headerEnd + 1, payloadEnd))
  if (signature === null || header === null || payload === null) return null
  return { header, payload, signature, signedText: text.slice(0, payloadEnd) }
}

function parsePart(part: string): Readonly<Record<string, unknown>> | null {
  const bytes = decodeCanonical(part)
  return bytes === null ? null : parseJsonObject(bytes)
}

function decodeCanonical(part: string): Uint8Array | null {
  const bytes = Buffer.from(part, 'base64url')
  return bytes.toString('base64url') === part ? bytes : null
}

/** Parses a JSON object in strict UTF-8. Returns null for other bytes. */
export function parseJsonObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(strictUtf8.decode(bytes))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null
  } catch {
    return null
  }
}
