/**
 * Returns true if the `typ` header parameter is this media type. Its spellings are equal: in any case, with or without
 * `application/` (RFC 7515 section 4.1.9).
 */
export function isJwtType(typ: unknown, mediaType: string): boolean {
  return typeof typ === 'string' && withPrefix(typ) === withPrefix(mediaType)
}

function withPrefix(typ: string): string {
  const name = typ.toLowerCase()
  return name.includes('/') ? name : `application/${name}`
}
