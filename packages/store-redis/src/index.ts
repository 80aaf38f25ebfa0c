export { redisStore, type RedisStoreOptions } from './redis-store.js'
export type { IoRedisClient, NodeRedisClient } from './client.js'
