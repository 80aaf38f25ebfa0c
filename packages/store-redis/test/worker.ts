import { createRefreshTokens } from '@baton/core'
import { serveTokens } from '@baton/test-processes'
import { redisStore } from '../src/index.js'
import { singleDrivers } from './drivers.js'

export const SECRET = 'a secret of at least thirty-two bytes'

export interface Settings {
  readonly driver: string
  readonly url: string
}

serveTokens(async ({ driver, url }: Settings) => {
  const { client } = await singleDrivers[driver]!({ url })
  const store = redisStore(client)
  const tokens = createRefreshTokens({ store, secrets: [SECRET] })
  await tokens.find('a'.repeat(22))
  return { store, tokens }
})
