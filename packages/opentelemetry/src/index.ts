export { accessTokenCacheMetrics, type AccessTokenCacheMetricsOptions } from './cache-metrics.js'
export { eventMetrics, type EventMetricsOptions } from './event-metrics.js'
export { observedStore, type ObserveOptions } from './observed-store.js'
export { observedEndpoint } from './observed-endpoint.js'
