import { fileURLToPath } from 'node:url'
import { createSession, SessionError } from '@baton/client'
import { beginAuthorization, loginWithCode } from '@baton/client/authorization'
import { dpop } from '@baton/client/dpop'
import { sessionFile } from '@baton/client/file'
import { oauthEndpoints } from '@baton/client/oauth'
import { deviceKey } from './device-key.js'
import { listenForBrowser } from './loopback.js'

const origin = process.env['API'] ?? 'http://127.0.0.1:3000'
const clientId = 'native'

export const tokenEndpoint = `${origin}/oauth/token`
export const sessionPath = fileOf('SESSION_FILE', '../session.json')

const proofs = dpop({ keyPair: await deviceKey(fileOf('KEY_FILE', '../key.json')) })
const session = createSession({
  endpoints: oauthEndpoints({
    tokenEndpoint,
    revocationEndpoint: `${origin}/oauth/revoke`,
    clientId,
    idempotencyKey: true, // a Baton server
  }),
  storage: sessionFile(sessionPath),
  dpop: proofs,
})
session.on('refreshed', ({ generation }) => console.log(`refreshed: generation ${String(generation)}`))

/** Requests the current user from the API, after a sign-in if necessary. */
export async function requestUser(): Promise<void> {
  await signInUnlessSignedIn()
  const response = await session.fetch(`${origin}/api/me`)
  if (!response.ok) throw new Error(`the API responded with status ${String(response.status)}`)
  const { sub } = (await response.json()) as { sub: string }
  console.log(`I am ${sub}`)
}

export async function signOut(): Promise<void> {
  const { revoked } = await session.logout()
  console.log(
    revoked
      ? 'signed out; the server has revoked the session'
      : 'signed out; the session will be revoked at the server later',
  )
}

async function signInUnlessSignedIn(): Promise<void> {
  try {
    await session.getAccessToken()
  } catch (error) {
    if (!(error instanceof SessionError) || error.code !== 'signed_out') throw error
    await signIn()
  }
}

/** Signs in with the browser. The app never sees the password. */
async function signIn(): Promise<void> {
  const { redirectUri, callback } = await listenForBrowser()
  const { url, pending } = await beginAuthorization({
    authorizationEndpoint: `${origin}/oauth/authorize`,
    clientId,
    redirectUri,
    // The code is also bound to the key (RFC 9449 section 10).
    parameters: { dpop_jkt: await proofs.thumbprint() },
  })
  console.log(`open ${url}`)
  await loginWithCode(session, { url: await callback, pending })
}

function fileOf(setting: string, byDefault: string): string {
  return process.env[setting] ?? fileURLToPath(new URL(byDefault, import.meta.url))
}
