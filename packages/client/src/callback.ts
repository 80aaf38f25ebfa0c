import { errorCode } from './answer.js'
import { SessionError } from './errors.js'

/** What has to be kept until the browser comes back, in `sessionStorage` for instance. The verifier is a secret. */
export interface PendingAuthorization {
  readonly state: string
  readonly codeVerifier: string
  readonly redirectUri: string
}

/** The code of a callback. Throws `SessionError` where the server refused, or where nobody here has asked (RFC 6749 section 10.12). */
export function codeOf(callbackUrl: string | URL, { state }: PendingAuthorization): string {
  const { searchParams } = new URL(callbackUrl)
  if (searchParams.get('state') !== state)
    throw new SessionError(
      'bad_answer',
      'the callback belongs to another sign-in: its state is not the one that was sent',
    )
  const code = searchParams.get('code')
  if (code !== null && code !== '') return code
  const error = errorCode(searchParams.get('error')) ?? 'no code'
  throw new SessionError('bad_answer', `the server did not sign in (${error})`)
}
