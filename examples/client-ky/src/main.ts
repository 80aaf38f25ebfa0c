import { setTimeout as pause } from 'node:timers/promises'
import { createSession } from '@baton/client'
import { withSession } from '@baton/client/ky'
import { oauthEndpoints } from '@baton/client/oauth'
import ky from 'ky'

const origin = process.env['API'] ?? 'http://127.0.0.1:3000'

const session = createSession({
  endpoints: oauthEndpoints({
    tokenEndpoint: `${origin}/oauth/token`,
    revocationEndpoint: `${origin}/oauth/revoke`,
    clientId: 'web',
    idempotencyKey: true, // a Baton server
  }),
})
session.on('refreshed', ({ generation }) => console.log(`refreshed: generation ${generation}`))
session.on('signedOut', ({ reason }) => console.log(`signed out: ${reason}`))

const json = { username: 'alice', password: 'wonderland', client_id: 'web' }
await session.login(await ky.post(`${origin}/login`, { json }).json())

// All requests of this instance have a valid access token.
const api = ky.create({ prefixUrl: origin }).extend(withSession(session))
for (let times = 0; times < 3; times += 1) {
  const { sub } = await api.get('api/me').json<{ sub: string }>()
  console.log(`I am ${sub}`)
  await pause(1000)
}

const { revoked } = await session.logout()
console.log(revoked ? 'revoked at the server' : 'will be revoked at the server later')
