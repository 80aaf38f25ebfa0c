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
  /** For refresh tokens: `[current, ...older]`. */
  readonly secrets: readonly string[]
  /** For the keys that sign access tokens: `[current, ...older]`. */
  readonly signingSecrets: readonly string[]
  /** For authorization codes: `[current, ...older]`. */
  readonly codeSecrets: readonly string[]
  /** Settings that are not set and whose secrets are therefore derived from `secrets`, which no other server should do. */
  readonly derivedSecrets: readonly string[]
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
  const secrets = readAllSecrets()
  const { accessSeconds, ...policy } = readLifetimes()
  const points = wholeNumber('RATE_LIMIT', { byDefault: 60, least: 0, most: 1_000_000 })
  const seconds = wholeNumber('RATE_SECONDS', { byDefault: 60, least: 1, most: DAY_SECONDS })
  const limits = { points, seconds, failedAuthentications: points, ...(createLimiter && { createLimiter }) }
  const rateLimit = points === 0 ? false : rateLimits(limits)
  return { port, origin: `http://127.0.0.1:${port}`, ...secrets, accessSeconds, policy, rateLimit }
}

/** Prints one line if secrets are derived. Call it once, when everything else is known to work. */
export function warnOfDerivedSecrets({ derivedSecrets }: Pick<Environment, 'derivedSecrets'>): void {
  if (derivedSecrets.length === 0) return
  const names = derivedSecrets.join(' and ')
  console.warn(
    `${names}: not set, so derived from BATON_SECRET, which only an example may do: whoever reads that secret can then also forge access tokens and codes; make each with: openssl rand -hex 32`,
  )
}

function readAllSecrets() {
  const secrets = readSecrets('BATON_SECRET')
  if (secrets === undefined && process.env['NODE_ENV'] === 'production')
    refuse('BATON_SECRET', 'is needed in production; make one with: openssl rand -hex 32')
  const [signingSecrets, codeSecrets] = [readSecrets('SIGNING_SECRET'), readSecrets('CODE_SECRET')]
  refuseSharedSecrets({ BATON_SECRET: secrets, SIGNING_SECRET: signingSecrets, CODE_SECRET: codeSecrets })
  if (secrets === undefined) {
    console.warn('BATON_SECRET is not set: a random one is used, and no session will outlive this process')
    return {
      secrets: [randomSecret()],
      signingSecrets: signingSecrets ?? [randomSecret()],
      codeSecrets: codeSecrets ?? [randomSecret()],
      derivedSecrets: [],
    }
  }
  return {
    secrets,
    signingSecrets: signingSecrets ?? deriveSecrets(secrets, 'signing keys of the examples'),
    codeSecrets: codeSecrets ?? deriveSecrets(secrets, 'codes of the examples'),
    derivedSecrets: [
      ...(signingSecrets === undefined ? ['SIGNING_SECRET'] : []),
      ...(codeSecrets === undefined ? ['CODE_SECRET'] : []),
    ],
  }
}

/** Reads a list of secrets separated by commas, or returns undefined if it is not set. */
function readSecrets(name: string): string[] | undefined {
  const secrets = setting(name)
    ?.split(',')
    .map((secret) => secret.trim())
  for (const [index, secret] of secrets?.entries() ?? []) {
    const size = Buffer.byteLength(secret)
    if (size < LEAST_SECRET_BYTES)
      refuse(
        name,
        `secret ${index + 1} is ${size} bytes long, at least ${LEAST_SECRET_BYTES} are needed; make one with: openssl rand -hex 32`,
      )
    if (secrets?.indexOf(secret) !== index) refuse(name, `secret ${index + 1} repeats an earlier one`)
  }
  return secrets
}

/** A secret with two purposes gives a reader of one the power of both. */
function refuseSharedSecrets(lists: Readonly<Record<string, readonly string[] | undefined>>): void {
  const owners = new Map<string, string>()
  for (const [name, secrets = []] of Object.entries(lists))
    for (const secret of secrets) {
      const owner = owners.get(secret)
      if (owner !== undefined) refuse(name, `has a secret of ${owner}; each needs secrets of its own`)
      owners.set(secret, name)
    }
}

function deriveSecrets(secrets: readonly string[], label: string): string[] {
  return secrets.map((secret) => Buffer.from(hkdfSync('sha256', secret, '', label, 32)).toString('base64url'))
}

function randomSecret(): string {
  return randomBytes(48).toString('base64url')
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
