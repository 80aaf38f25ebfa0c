import { setTimeout as pause } from 'node:timers/promises'
import { createSession, type TokenResponse } from '@baton/client'
import { attachSession } from '@baton/client/axios'
import { oauthEndpoints } from '@baton/client/oauth'
import axios from 'axios'

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

const api = axios.create({ baseURL: origin })
const credentials = { username: 'alice', password: 'wonderland', client_id: 'web' }
await session.login((await api.post<TokenResponse>('/login', credentials)).data)

// All following requests have a valid access token.
attachSession(api, session)
for (let times = 0; times < 3; times += 1) {
  const { data } = await api.get<{ sub: string }>('/api/me')
  console.log(`I am ${data.sub}`)
  await pause(1000)
}

const { revoked } = await session.logout()
console.log(revoked ? 'revoked at the server' : 'will be revoked at the server later')
