export { FAILING_CALLBACKS, hangingCallback, unreadableError, watchUnhandled } from './failing-callbacks.js'
export { startFaultProxy, type FaultProxy, type ProxiedConnection } from './fault-proxy.js'
export { countMapIterations } from './map-iterations.js'
export { freePort } from './ports.js'
export { startPostgres, type PostgresOptions, type PostgresServer } from './postgres.js'
export { launchChromium } from './chromium.js'
export { startRedis, type RedisClientOptions, type RedisServer, type RedisServerOptions } from './redis.js'
export {
  startRedisCluster,
  type RedisCluster,
  type RedisClusterClientOptions,
  type RedisClusterOptions,
} from './redis-cluster.js'
export { startRedisPair, type RedisPair } from './redis-pair.js'
export {
  startRedisSentinel,
  type RedisAddress,
  type RedisSentinel,
  type RedisSentinelOptions,
} from './redis-sentinel.js'
export { sampled } from './sampled.js'
export { until } from './until.js'
