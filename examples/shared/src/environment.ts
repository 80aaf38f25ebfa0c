import { hkdfSync, randomBytes } from 'node:crypto'
import type { PolicyOptions } from '@baton/core'
import { rateLimits, type RateLimits, type RateLimitsOptions } from '@baton/http'
import { refuse, setting, wholeNumber } from './settings.js'

const DAY_SECONDS = 86_400
const TEN_YEARS_SECONDS = 3650 * DAY_SECONDS
const LEAST_SECRET_BYTES = 32

/** What every example can be told by its environment, checked. */
export interface Environment {
  readonly port: number
  /** Where clients reach this server; also the issuer and the audience of its access tokens. */
  readonly origin: string
  /** `[current, ...older]`. */
  readonly secrets: readonly string[]
  /** For authorization codes. Derived, so that an example needs one setting; yours are secrets of their own. */
  readonly codeSecrets: readonly Uint8Array[]
  readonly accessSeconds: number
  readonly policy: PolicyOptions
  /** For all endpoints, so that they count together; false for none. */
  readonly rateLimit: RateLimits | false
}

/**
 * Reads the environment. The first value that cannot be used ends the process with a line that names it. Give `createLimiter` where
 * requests are to be counted for all processes together.
 */
export function readEnvironment({ createLimiter }: Pick<RateLimitsOptions, 'createLimiter'> = {}): Environment {
  const port = wholeNumber('PORT', { byDefault: 3000, least: 1, most: 65_535 })
  const secrets = readSecrets()
  const { accessSeconds, ...policy } = readLifetimes()
  const points = wholeNumber('RATE_LIMIT', { byDefault: 60, least: 0, most: 1_000_000 })
  const seconds = wholeNumber('RATE_SECONDS', { byDefault: 60, least: 1, most: DAY_SECONDS })
  const limits = { points, seconds, failedAuthentications: points, ...(createLimiter && { createLimiter }) }
  const rateLimit = points === 0 ? false : rateLimits(limits)
  const codeSecrets = secrets.map(
    (secret) => new Uint8Array(hkdfSync('sha256', secret, '', 'codes of the examples', 32)),
  )
  return { port, origin: `http://127.0.0.1:${port}`, secrets, codeSecrets, accessSeconds, policy, rateLimit }
}

function readSecrets(): string[] {
  const list = setting('BATON_SECRET')
  if (list === undefined) {
    if (process.env['NODE_ENV'] === 'production')
      refuse('BATON_SECRET', 'is needed in production; make one with: openssl rand -base64 48')
    console.warn('BATON_SECRET is not set: a random one is used, and no session will outlive this process')
    return [randomBytes(48).toString('base64')]
  }
  const secrets = list.split(',').map((secret) => secret.trim())
  for (const [index, secret] of secrets.entries()) {
    const size = Buffer.byteLength(secret)
    if (size < LEAST_SECRET_BYTES)
      refuse(
        'BATON_SECRET',
        `secret ${index + 1} is ${size} bytes long, at least ${LEAST_SECRET_BYTES} are needed; make one with: openssl rand -base64 48`,
      )
    if (secrets.indexOf(secret) !== index) refuse('BATON_SECRET', `secret ${index + 1} repeats an earlier one`)
  }
  return secrets
}

/** A default gives way where it would contradict what has been set. */
function readLifetimes() {
  const absoluteSeconds = wholeNumber('ABSOLUTE_SECONDS', {
    byDefault: 90 * DAY_SECONDS,
    least: 2,
    most: TEN_YEARS_SECONDS,
  })
  const idleSeconds = wholeNumber('IDLE_SECONDS', {
    byDefault: Math.min(14 * DAY_SECONDS, absoluteSeconds),
    least: 2,
    most: TEN_YEARS_SECONDS,
  })
  if (idleSeconds > absoluteSeconds)
    refuse('IDLE_SECONDS', `${idleSeconds} is above ABSOLUTE_SECONDS (${absoluteSeconds}) and could never take effect`)
  const accessSeconds = wholeNumber('ACCESS_SECONDS', {
    byDefault: Math.min(900, Math.floor(idleSeconds / 2)),
    least: 1,
    most: DAY_SECONDS,
  })
  if (accessSeconds >= idleSeconds)
    refuse('ACCESS_SECONDS', `${accessSeconds} is not below IDLE_SECONDS (${idleSeconds}): active people would expire`)
  const graceSeconds = wholeNumber('GRACE_SECONDS', { byDefault: 30, least: 0, most: 60 })
  return { absoluteSeconds, idleSeconds, graceSeconds, accessSeconds }
}
