import { sampled } from '@baton/test-servers'

/** All example servers fulfil the same contract. Add a new one only here. */
export const examples = [
  { name: 'express-sqlite', store: 'sqlite' },
  { name: 'koa-memory', store: 'memory' },
  { name: 'fastify-sqlite', store: 'sqlite' },
  { name: 'fetch-memory', store: 'memory' },
  { name: 'hono-sqlite', store: 'sqlite' },
  { name: 'express-redis', store: 'redis' },
  { name: 'koa-redis', store: 'redis' },
  { name: 'fastify-postgres', store: 'postgres' },
  { name: 'express-cluster', store: 'redis-cluster' },
] as const satisfies readonly Example[]

const SAMPLE: readonly string[] = ['express-sqlite', 'koa-redis']

/** The examples that `npm test` tests. `pnpm proofs` tests the others. */
export const sampledExamples: readonly Example[] = sampled<Example>(examples, ({ name }) => SAMPLE.includes(name))

export interface Example {
  /** The name of the folder and of the package. */
  readonly name: string
  readonly store: StoreKind
}

/** The store of the sessions. All but memory keep them after the process ends; the last three are separate servers. */
export type StoreKind = 'sqlite' | 'memory' | 'redis' | 'redis-cluster' | 'postgres'
