import type { AccessTokenCacheStats } from '@baton/http'
import { declareOptions, type OptionsOf } from '@baton/core/options'
import { meterOf, observe, observeOptions } from './instruments.js'

const cacheMetricsOptions = declareOptions({ meterProvider: observeOptions.fields.meterProvider })

export type AccessTokenCacheMetricsOptions = OptionsOf<typeof cacheMetricsOptions>

/**
 * Records the numbers of the cache of verified access tokens at each collection of metrics. Throws `ConfigurationError` for unknown or
 * invalid options.
 *
 * - `baton.access_tokens.checks` by `baton.result`: `cached`, `verified` or `rejected` (again, without another verification)
 * - `baton.access_tokens.cache.evictions`: accepted tokens that were removed because the cache was full
 * - `baton.access_tokens.cache.entries`: accepted tokens in the cache
 *
 * @example
 * ```ts
 * import { type AccessTokens, accessTokenCacheStats } from '@baton/http'
 * import { accessTokenCacheMetrics } from '@baton/opentelemetry'
 *
 * declare const accessTokens: AccessTokens
 * accessTokenCacheMetrics(() => accessTokenCacheStats(accessTokens))
 * ```
 */
export function accessTokenCacheMetrics(
  stats: () => AccessTokenCacheStats,
  options: AccessTokenCacheMetricsOptions = {},
): void {
  const meter = meterOf(cacheMetricsOptions.parse('accessTokenCacheMetrics', options))
  const checks = meter.createObservableCounter('baton.access_tokens.checks', {
    description: 'Access tokens that guards have checked, by how.',
    unit: '{token}',
  })
  const evictions = meter.createObservableCounter('baton.access_tokens.cache.evictions', {
    description: 'Verified access tokens that were removed from a full cache.',
    unit: '{token}',
  })
  const entries = meter.createObservableUpDownCounter('baton.access_tokens.cache.entries', {
    description: 'Verified access tokens in the cache.',
    unit: '{token}',
  })
  meter.addBatchObservableCallback(
    (result) => {
      observe(() => {
        const now = stats()
        result.observe(checks, now.hits, { 'baton.result': 'cached' })
        result.observe(checks, now.misses, { 'baton.result': 'verified' })
        result.observe(checks, now.rejections, { 'baton.result': 'rejected' })
        result.observe(evictions, now.evictions)
        result.observe(entries, now.entries)
      })
    },
    [checks, evictions, entries],
  )
}
