/** Every example server keeps the same contract; a new one is added here and nowhere else. */
export const examples = [
  { name: 'express-sqlite', store: 'sqlite' },
  { name: 'koa-memory', store: 'memory' },
  { name: 'fastify-sqlite', store: 'sqlite' },
  { name: 'fetch-memory', store: 'memory' },
] as const satisfies readonly Example[]

export interface Example {
  /** Of its folder and its package. */
  readonly name: string
  /** What its sessions are kept in: all but memory outlives the process. */
  readonly store: 'sqlite' | 'memory'
}
