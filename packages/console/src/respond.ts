import type { PlainResponse } from '@baton/http'

type Header = readonly [name: string, value: string]

/** The headers of every response. They prevent caching and framing. */
export const ALWAYS: readonly Header[] = [
  ['cache-control', 'no-store'],
  ['x-content-type-options', 'nosniff'],
  ['referrer-policy', 'no-referrer'],
  ['cross-origin-resource-policy', 'same-origin'],
]

export type Answer =
  | { readonly ok: true; readonly body: object }
  | { readonly ok: false; readonly status: number; readonly message: string }

export function answer(result: Answer): PlainResponse {
  return result.ok ? json(200, result.body) : refusal(result.status, result.message)
}

/** `message` is a sentence for the operator. */
export function refusal(status: number, message: string, headers: readonly Header[] = []): PlainResponse {
  return json(status, { message }, headers)
}

function json(status: number, body: object, headers: readonly Header[] = []): PlainResponse {
  return { status, headers: [['content-type', 'application/json'], ...ALWAYS, ...headers], body: JSON.stringify(body) }
}
