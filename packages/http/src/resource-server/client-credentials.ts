import { ConfigurationError } from '@baton/core'
import { describeValue, required, type Rule, text } from '@baton/core/options'

/** Messages do not repeat the value. */
const clientSecret = (): Rule<string> => ({
  expected: 'the secret of the client',
  parse(value, option) {
    if (typeof value === 'string' && value !== '') return value
    const got = value === '' ? 'an empty string' : describeValue(value)
    throw new ConfigurationError(option, `must be the secret of the client, got ${got}`)
  },
})

/** How a resource server authenticates at the authorization server. */
export const clientCredentials = {
  /** The client id of this resource server at the authorization server. */
  clientId: required(text()),
  /** The secret of this client, for `client_secret_basic`. */
  clientSecret: required(clientSecret()),
}

/** Returns the value of the Authorization header (RFC 6749 section 2.3.1). */
export function basicAuthorization(credentials: { readonly clientId: string; readonly clientSecret: string }): string {
  const pair = [credentials.clientId, credentials.clientSecret].map(formEncode).join(':')
  return `Basic ${Buffer.from(pair).toString('base64')}`
}

function formEncode(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1)
}
