/** Undefined for what is no JSON. */
export function parseJson(text: string | null | undefined): unknown {
  try {
    return JSON.parse(text ?? '')
  } catch {
    return undefined
  }
}

/** True of lists as well; none of them has a member that we look for. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

/** Null for what is no text, or an empty one. */
export function toText(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}
