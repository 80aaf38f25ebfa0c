import { hkdfSync, randomBytes } from 'node:crypto'
import type { PolicyOptions } from '@baton/core'
import { rateLimits, type RateLimits, type RateLimitsOptions } from '@baton/http'
import { exitWithProblem, readSetting, readInteger } from './settings.js'

const DAY_SECONDS = 86_400
const TEN_YEARS_SECONDS = 3650 * DAY_SECONDS
const MIN_SECRET_BYTES = 32

/** The settings of every example, validated. */
export interface Environment {
  readonly port: number
  /** The URL of this server for clients. Also the issuer and the audience of its access tokens. */
  readonly origin: string
  /** For refresh tokens: `[current, ...older]`. */
  readonly secrets: readonly string[]
  /** For the keys that sign access tokens: `[current, ...older]`. */
  readonly signingSecrets: readonly string[]
  /** For authorization codes: `[current, ...older]`. */
  readonly codeSecrets: readonly string[]
  /** Names of missing secrets that are derived from `secrets`, which no other server should do. */
  readonly derivedSecrets: readonly string[]
  readonly accessSeconds: number
  readonly policy: PolicyOptions
  /** One set of limits for all endpoints; false if limits are off. */
  readonly rateLimit: RateLimits | false
}

/**
 * Reads the settings. Exits with a message for the first invalid value. Pass `createLimiter` to count the requests of
 * all processes together.
 */
export function readEnvironment({ createLimiter }: Pick<RateLimitsOptions, 'createLimiter'> = {}): Environment {
  const port = readInteger('PORT', { defaultValue: 3000, min: 1, max: 65_535 })
  const secrets = readAllSecrets()
  const { accessSeconds, ...policy } = readLifetimes()
  const points = readInteger('RATE_LIMIT', { defaultValue: 60, min: 0, max: 1_000_000 })
  const seconds = readInteger('RATE_SECONDS', { defaultValue: 60, min: 1, max: DAY_SECONDS })
  const limits = { points, seconds, failedAuthentications: points, ...(createLimiter && { createLimiter }) }
  const rateLimit = points === 0 ? false : rateLimits(limits)
  return { port, origin: `http://127.0.0.1:${port}`, ...secrets, accessSeconds, policy, rateLimit }
}

/** Prints a warning if secrets are derived. Call it once, after all other checks. */
export function warnAboutDerivedSecrets({ derivedSecrets }: Pick<Environment, 'derivedSecrets'>): void {
  if (derivedSecrets.length === 0) return
  const names = derivedSecrets.join(' and ')
  console.warn(
    `${names}: not set, derived from BATON_SECRET, which is for examples only: anyone with that secret can also forge access tokens and codes; create each one with: openssl rand -hex 32`,
  )
}

function readAllSecrets() {
  const secrets = readSecrets('BATON_SECRET')
  if (secrets === undefined && process.env['NODE_ENV'] === 'production')
    exitWithProblem('BATON_SECRET', 'is required in production; create one with: openssl rand -hex 32')
  const [signingSecrets, codeSecrets] = [readSecrets('SIGNING_SECRET'), readSecrets('CODE_SECRET')]
  assertSeparateSecrets({ BATON_SECRET: secrets, SIGNING_SECRET: signingSecrets, CODE_SECRET: codeSecrets })
  if (secrets === undefined) {
    console.warn('BATON_SECRET is not set: using a random one, so that no session survives a restart')
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

/** Reads a comma-separated list of secrets. Returns undefined if it is not set. */
function readSecrets(name: string): string[] | undefined {
  const secrets = readSetting(name)
    ?.split(',')
    .map((secret) => secret.trim())
  for (const [index, secret] of secrets?.entries() ?? []) {
    const size = Buffer.byteLength(secret)
    if (size < MIN_SECRET_BYTES)
      exitWithProblem(
        name,
        `secret ${index + 1} is ${size} bytes long, at least ${MIN_SECRET_BYTES} are required; create one with: openssl rand -hex 32`,
      )
    if (secrets?.indexOf(secret) !== index) exitWithProblem(name, `secret ${index + 1} repeats an earlier one`)
  }
  return secrets
}

/** A shared secret would give a reader of one setting the rights of both. */
function assertSeparateSecrets(lists: Readonly<Record<string, readonly string[] | undefined>>): void {
  const owners = new Map<string, string>()
  for (const [name, secrets = []] of Object.entries(lists))
    for (const secret of secrets) {
      const owner = owners.get(secret)
      if (owner !== undefined) exitWithProblem(name, `contains a secret of ${owner}; use separate secrets`)
      owners.set(secret, name)
    }
}

function deriveSecrets(secrets: readonly string[], label: string): string[] {
  return secrets.map((secret) => Buffer.from(hkdfSync('sha256', secret, '', label, 32)).toString('base64url'))
}

function randomSecret(): string {
  return randomBytes(48).toString('base64url')
}

/** A default is reduced where it would contradict another setting. */
function readLifetimes() {
  const absoluteSeconds = readInteger('ABSOLUTE_SECONDS', {
    defaultValue: 90 * DAY_SECONDS,
    min: 2,
    max: TEN_YEARS_SECONDS,
  })
  const idleSeconds = readInteger('IDLE_SECONDS', {
    defaultValue: Math.min(14 * DAY_SECONDS, absoluteSeconds),
    min: 2,
    max: TEN_YEARS_SECONDS,
  })
  if (idleSeconds > absoluteSeconds)
    exitWithProblem(
      'IDLE_SECONDS',
      `${idleSeconds} is above ABSOLUTE_SECONDS (${absoluteSeconds}) and would never take effect`,
    )
  const accessSeconds = readInteger('ACCESS_SECONDS', {
    defaultValue: Math.min(900, Math.floor(idleSeconds / 2)),
    min: 1,
    max: DAY_SECONDS,
  })
  if (accessSeconds >= idleSeconds)
    exitWithProblem(
      'ACCESS_SECONDS',
      `${accessSeconds} is not below IDLE_SECONDS (${idleSeconds}): sessions in use would expire`,
    )
  const graceSeconds = readInteger('GRACE_SECONDS', { defaultValue: 30, min: 0, max: 60 })
  return { absoluteSeconds, idleSeconds, graceSeconds, accessSeconds }
}
