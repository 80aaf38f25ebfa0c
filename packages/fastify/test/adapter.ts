import type { Adapter } from '@baton/http-parity'
import type { FastifyPluginCallback } from 'fastify'
import * as fastify from '../src/index.js'

/** The plugins of this package under the names that other adapters use. */
export function toAdapter(): Adapter<FastifyPluginCallback, ReturnType<typeof fastify.requireAccessToken>> {
  return {
    authHandler: fastify.authPlugin,
    refreshHandler: fastify.refreshPlugin,
    tokenHandler: fastify.tokenPlugin,
    revocationHandler: fastify.revocationPlugin,
    introspectionHandler: fastify.introspectionPlugin,
    revocationsHandler: fastify.revocationsPlugin,
    jwksHandler: fastify.jwksPlugin,
    loginHandler: fastify.loginPlugin,
    logoutHandler: fastify.logoutPlugin,
    sessionsHandler: fastify.sessionsPlugin,
    handler: fastify.endpointPlugin,
    requireAccessToken: fastify.requireAccessToken,
  }
}
