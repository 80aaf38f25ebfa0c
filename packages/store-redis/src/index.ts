export { redisStore, type RedisStore, type RedisStoreOptions } from './redis-store.js'
export { RecordFormatError } from './codec.js'
export type { Finding } from './check.js'
export type { IoRedisClient, NodeRedisClient, RedisClient } from './client.js'
