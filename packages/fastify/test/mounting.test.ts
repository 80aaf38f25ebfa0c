import { describeMounting, listen } from '@baton/http-parity'
import Fastify, { type FastifyInstance } from 'fastify'
import { authPlugin } from '../src/index.js'

async function start(app: FastifyInstance) {
  await app.ready()
  return listen(app.server)
}

describeMounting('Fastify', {
  authHandler: authPlugin,
  atRoot: (plugin) => start(Fastify().register(plugin)),
  below: {
    'a prefix': (plugin) => start(Fastify().register(plugin, { prefix: '/x/y' })),
    'nested plugins': (plugin) =>
      start(Fastify().register(async (scope) => void scope.register(plugin, { prefix: '/y' }), { prefix: '/x' })),
  },
})
