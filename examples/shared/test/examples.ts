/** Every example server keeps the same contract; a new one is added here and nowhere else. */
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

export interface Example {
  /** Of its folder and its package. */
  readonly name: string
  readonly store: StoreKind
}

/** What sessions are kept in: all but memory outlives the process, and the last three are servers of their own. */
export type StoreKind = 'sqlite' | 'memory' | 'redis' | 'redis-cluster' | 'postgres'
