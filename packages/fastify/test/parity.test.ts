import { describeParity, editHeaderRecord, type Served, type World } from '@baton/http-parity'
import formbody from '@fastify/formbody'
import Fastify, { type FastifyInstance } from 'fastify'
import { toAdapter } from './adapter.js'

const start =
  (prepare: (app: FastifyInstance) => unknown = () => undefined) =>
  async (world: World): Promise<Served> => {
    const { whole, exact, below, guards } = world.mounts(toAdapter())
    const app = Fastify()
    app.addHook('onRequest', async (request) => editHeaderRecord(request.headers))
    await prepare(app)
    await app.register(whole)
    for (const [prefix, plugin] of [...exact, ...below]) await app.register(plugin, { prefix })
    for (const [path, guard] of guards) app.get(path, { onRequest: guard }, (request) => request.auth?.sub)
    const address = await app.listen({ port: 0, host: '127.0.0.1' })
    return { port: Number(new URL(address).port), close: () => app.close() }
  }

describeParity('Fastify', start())
describeParity(
  'Fastify with @fastify/formbody',
  start((app) => app.register(formbody)),
)
