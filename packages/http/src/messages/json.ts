import { boolean, declareOptions, type OptionsOf, withDefault } from '@baton/core/options'
import { entriesOf, readText, rejectOtherMediaType } from './body.js'
import type { PlainRequest, PlainResponse } from './message.js'
import { invalidRequest } from './responses.js'

export type ReadJson =
  | { readonly ok: true; readonly members: ReadonlyMap<string, unknown> }
  | { readonly ok: false; readonly response: PlainResponse }

const readJsonOptions = declareOptions({
  /** True: an empty body counts as an empty object. Default false. */
  acceptsEmpty: withDefault(boolean(), false),
})

/**
 * Reads a JSON object of at most 64 KiB, also one that a body parser has already parsed. The values are not checked. Returns a response of
 * 400, 413 or 415 for any other body. Rejects with a `ConfigurationError` for invalid options.
 *
 * @example
 * ```ts
 * import { type Endpoint, readJson } from '@baton/http'
 *
 * const echo: Endpoint = async (request) => {
 *   const body = await readJson(request)
 *   if (!body.ok) return body.response
 *   return { status: 200, headers: [], body: JSON.stringify(body.members.get('name')) }
 * }
 * ```
 */
export async function readJson(request: PlainRequest, options?: OptionsOf<typeof readJsonOptions>): Promise<ReadJson> {
  const { acceptsEmpty } = readJsonOptions.parse('readJson', options)
  const rejected = rejectOtherMediaType(request, 'application/json')
  if (rejected !== null) return { ok: false, response: rejected }
  const body = await readText(request)
  if (!body.ok) return body
  const isEmpty = 'text' in body ? body.text.trim() === '' : body.parsed === undefined
  if (acceptsEmpty && isEmpty) return { ok: true, members: new Map() }
  const entries = entriesOf('text' in body ? parse(body.text) : body.parsed)
  return entries === null ? reject('The body is not a JSON object.') : { ok: true, members: new Map(entries) }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function reject(description: string): ReadJson {
  return { ok: false, response: invalidRequest(description) }
}
