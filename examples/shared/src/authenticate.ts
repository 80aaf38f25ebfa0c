import { LoginRequestError, type PlainRequest, type SignIn } from '@baton/http'
import { clientIds } from './clients.js'
import { verifyPassword } from './users.js'
import { SCOPES } from './scopes.js'

type Input = Readonly<Record<string, unknown>>

/**
 * Checks `{ username, password, client_id?, scope? }`. With `?cookie=1` in the URL the refresh token is set as a cookie
 * that scripts cannot read, otherwise it is returned in the body.
 */
export async function authenticate(input: Input, { url }: PlainRequest): Promise<SignIn | null> {
  const username = readString(input, 'username')
  const password = readString(input, 'password')
  const clientId = readString(input, 'client_id', 'web')
  const scope = readString(input, 'scope', 'read')
  if (!clientIds.includes(clientId)) throw new LoginRequestError('client_id is not registered.')
  if (!scope.split(' ').every((token) => SCOPES.includes(token)))
    throw new LoginRequestError(`scope may contain ${SCOPES.join(', ')}.`, 'invalid_scope')

  const subject = await verifyPassword(username, password)
  const wantsCookie = new URLSearchParams(url.split('?')[1]).get('cookie') === '1'
  return subject === null ? null : { subject, clientId, scope, deliver: wantsCookie ? 'cookie' : 'body' }
}

function readString(input: Input, name: string, defaultValue = ''): string {
  const value = input[name] ?? defaultValue
  if (typeof value !== 'string') throw new LoginRequestError(`${name} must be a string.`)
  if (value === '') throw new LoginRequestError(`${name} is required.`)
  return value
}
