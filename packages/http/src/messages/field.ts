import { mediaTypeOf } from './body.js'
import { readForm } from './form.js'
import { readJson } from './json.js'
import type { PlainRequest, PlainResponse } from './message.js'
import { invalidRequest } from './responses.js'

type ReadField =
  | {
      readonly ok: true
      /** Null if the request has no JSON or form body, or none with this field. */
      readonly value: string | null
    }
  | { readonly ok: false; readonly response: PlainResponse }

/** Reads one text from a JSON or form body. An empty body and an empty text count as missing. */
export async function readField(request: PlainRequest, name: string): Promise<ReadField> {
  switch (mediaTypeOf(request)) {
    case 'application/json': {
      const body = await readJson(request, { acceptsEmpty: true })
      if (!body.ok) return body
      const value = body.members.get(name) ?? null
      if (value === null || typeof value === 'string') return { ok: true, value: value === '' ? null : value }
      return { ok: false, response: invalidRequest(`${name} must be a string.`) }
    }
    case 'application/x-www-form-urlencoded': {
      const body = await readForm(request, [name])
      return body.ok ? { ok: true, value: body.form.get(name) } : body
    }
    default:
      return { ok: true, value: null }
  }
}
