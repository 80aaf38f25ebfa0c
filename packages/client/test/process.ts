import { createSession, SessionError } from '@baton/client'
import { sessionFile } from '@baton/client/file'
import { oauthEndpoints } from '@baton/client/oauth'

/** A process that shares a session with others, runs the commands that it receives, and reports the results. */
const [origin = '', file = '', staleSeconds = ''] = process.argv.slice(2)
const storage = sessionFile(file, { staleSeconds: Number(staleSeconds) })
const session = createSession({
  endpoints: oauthEndpoints({
    tokenEndpoint: `${origin}/oauth/token`,
    revocationEndpoint: `${origin}/oauth/revoke`,
    clientId: 'web',
    idempotencyKey: true,
  }),
  storage,
  lockTimeoutSeconds: 60,
})
const heard: string[] = []
for (const type of ['refreshed', 'synced', 'retrying', 'signedOut'] as const) session.on(type, () => heard.push(type))
session.on('storageFailed', ({ error }) =>
  heard.push(`storageFailed ${error instanceof Error && 'code' in error ? String(error.code) : String(error)}`),
)
// A write beyond the limit of `ulimit -f` fails like one to a full disk, instead of ending the process.
process.on('SIGXFSZ', () => undefined)

process.on('message', (message) => {
  if (message === 'exit with the lock') {
    void storage.lock(new AbortController().signal).then(() => process.exit())
    return
  }
  session.getAccessToken().then(
    (token) => process.send?.({ token, heard }),
    (error: unknown) => process.send?.({ error: error instanceof SessionError ? error.code : String(error), heard }),
  )
})
process.on('disconnect', () => process.exit())
process.send?.('ready')
