/** Returns undefined if the text is not JSON. */
export function parseJson(text: string | null | undefined): unknown {
  try {
    return JSON.parse(text ?? '')
  } catch {
    return undefined
  }
}

/** Returns true for lists as well; they have none of the members that are read. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

/** Returns null for an empty string and for values that are not strings. */
export function toText(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}
