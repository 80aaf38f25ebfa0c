import { LoginRequestError, type PlainRequest, type SignIn } from '@baton/http'
import { clientIds } from './clients.js'
import { personWith } from './people.js'
import { SCOPES } from './scopes.js'

type Input = Readonly<Record<string, unknown>>

/**
 * Checks `{ username, password, client_id?, scope? }`. With `?cookie=1` in the URL the refresh token goes into the cookie, out of
 * reach of scripts; else into the body.
 */
export async function authenticate(input: Input, { url }: PlainRequest): Promise<SignIn | null> {
  const username = textOf(input, 'username')
  const password = textOf(input, 'password')
  const clientId = textOf(input, 'client_id', 'web')
  const scope = textOf(input, 'scope', 'read')
  if (!clientIds.includes(clientId)) throw new LoginRequestError('client_id is not registered here.')
  if (!scope.split(' ').every((token) => SCOPES.includes(token)))
    throw new LoginRequestError(`scope may name ${SCOPES.join(', ')}.`, 'invalid_scope')

  const subject = await personWith(username, password)
  const wantsCookie = new URLSearchParams(url.split('?')[1]).get('cookie') === '1'
  return subject === null ? null : { subject, clientId, scope, deliver: wantsCookie ? 'cookie' : 'body' }
}

function textOf(input: Input, name: string, byDefault = ''): string {
  const value = input[name] ?? byDefault
  if (typeof value !== 'string') throw new LoginRequestError(`${name} is not a string.`)
  if (value === '') throw new LoginRequestError(`${name} is missing.`)
  return value
}
