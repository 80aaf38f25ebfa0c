import type { AccessTokenFunction } from '@baton/http'

/** The options of a service process. */
export interface WorkerOptions {
  readonly port: number
  /** Ports of the cluster nodes. */
  readonly nodes: readonly number[]
}

/** Not a real secret. */
export const SECRETS = ['the secret of the soak test, which is long enough.']
export const CLIENT = 'app'
export const ACCESS_SECONDS = 4
export const GRACE_SECONDS = 2
export const policy = { graceSeconds: GRACE_SECONDS }

export const accessTokens: AccessTokenFunction = async ({ family, maxLifetimeSeconds }) => ({
  accessToken: `at.${family.id}`,
  expiresIn: Math.min(ACCESS_SECONDS, maxLifetimeSeconds),
})
