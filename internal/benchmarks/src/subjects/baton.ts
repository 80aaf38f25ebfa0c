import { createRefreshTokens, type TokenStore } from '@baton/core'
import { generateSigningKey, jwtAccessTokens, rateLimits, tokenEndpoint, sealedAccessTokens } from '@baton/http'
import { memoryStore } from '@baton/store-memory'
import { postgresStore } from '@baton/store-postgres'
import { redisStore } from '@baton/store-redis'
import { sqliteStore } from '@baton/store-sqlite'
import type { Engine } from '../engine.js'
import type { Row } from '../row.js'
import { CLIENT_ID, FORM, inParallel, PATH, type Subject, createSubjectName } from '../subject.js'
import { serve } from './frameworks.js'

const SECRET = 'benchmarks only: thirty-two bytes and more'
/** Rate limits are on but never reached: all clients have the same address. */
const POINTS = 1_000_000_000

/** Baton in the configuration of its README, with nothing turned off. */
export async function baton(row: Row, engine: Engine): Promise<Subject> {
  const tokens = createRefreshTokens({ store: await storeOn(engine), secrets: [SECRET] })
  const endpoint = tokenEndpoint(tokens, {
    accessTokens: accessTokensOf(row.accessToken),
    clients: [{ clientId: CLIENT_ID }],
    rateLimit: rateLimits({ points: POINTS }),
  })
  return {
    target: { port: await serve(row.server, endpoint), path: PATH, form: FORM },
    issue: (count) =>
      inParallel(count, async (index) => {
        const { refreshToken } = await tokens.issue({ subject: createSubjectName(index), clientId: CLIENT_ID })
        return refreshToken
      }),
  }
}

export async function storeOn(engine: Engine): Promise<TokenStore> {
  switch (engine.kind) {
    case 'memory':
      return memoryStore({ maxFamilies: 2_000_000 })
    case 'sqlite':
      return sqliteStore(engine.db)
    case 'redis':
    case 'cluster':
      return redisStore(engine.client)
    case 'postgres': {
      const store = postgresStore(engine.pool, { namedStatements: true })
      await store.migrate()
      return store
    }
  }
}

function accessTokensOf(accessToken: Row['accessToken']) {
  const issuing = { issuer: 'https://login.example', audience: 'https://api.example' }
  return accessToken === 'sealed'
    ? sealedAccessTokens({ ...issuing, secrets: [`${SECRET}, another`] })
    : jwtAccessTokens({ ...issuing, keys: [generateSigningKey()] })
}
