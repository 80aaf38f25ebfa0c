import { createRefreshTokens, ConfigurationError, type TokenStore } from '@baton/core'
import { type Command, EXIT, type Input } from '../command.js'
import { type Opened, secretsOf, STORE_OPTIONS, withStore } from '../settings.js'
import { table } from '../table.js'

interface Check {
  readonly check: string
  readonly verdict: 'ok' | 'warning' | 'problem'
  /** What was found, and what to do where it is not good. */
  readonly says: string
}

const MOST_SKEW_MS = 2000
const DISTINCT_CHARACTERS = 12

export const doctor: Command = {
  name: 'doctor',
  about: 'Checks secrets, configuration, store, its settings and its clock; changes nothing',
  operands: '',
  mostOperands: 0,
  options: STORE_OPTIONS,
  async run(input) {
    const checks = [checkNode(), ...(await checkAll(input))]
    const problems = checks.filter(({ verdict }) => verdict === 'problem').length
    input.print({
      json: { ok: problems === 0, checks },
      text: table(checks.map(({ check, verdict, says }) => [verdict, check, says])),
    })
    return problems === 0 ? EXIT.ok : EXIT.no
  },
}

async function checkAll(input: Input): Promise<Check[]> {
  try {
    return await withStore(input, async (opened) => [
      ...checkSecrets(opened, opened.store),
      ...checkOtherSecrets(opened, input),
      ...checkPolicy(opened),
      await checkStore(opened),
      ...(await checkSettings(opened)),
      ...(await checkClock(opened)),
    ])
  } catch (failure) {
    // What is wrong on the way to the store is a finding too; what is wrong on the command line is not.
    if (!(failure instanceof Error) || failure.name === 'UsageError') throw failure
    const check = failure instanceof ConfigurationError ? failure.option : 'store'
    return [{ check, verdict: 'problem', says: reasonOf(failure) }]
  }
}

function checkNode(): Check {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const isNew = major > 20 || (major === 20 && minor >= 19)
  return {
    check: 'node',
    verdict: isNew ? 'ok' : 'problem',
    says: isNew ? process.version : `${process.version}; Baton needs 20.19 or newer`,
  }
}

function checkSecrets({ secrets }: Opened, store: TokenStore): Check[] {
  if (secrets === undefined)
    return [
      {
        check: 'secrets',
        verdict: 'warning',
        says: 'none given: set BATON_SECRET, or secrets in the config, to have them checked',
      },
    ]
  createRefreshTokens({ store, secrets })
  const weak = findWeakSecret(secrets)
  if (weak !== null) return [{ check: 'secrets', verdict: 'problem', says: weak }]
  return [
    {
      check: 'secrets',
      verdict: 'ok',
      says: secrets.length === 1 ? 'one' : `${String(secrets.length)}, the first one signs`,
    },
  ]
}

function findWeakSecret(secrets: readonly unknown[]): string | null {
  const weak = secrets.findIndex((secret) => typeof secret === 'string' && new Set(secret).size < DISTINCT_CHARACTERS)
  return weak === -1 ? null : `the one at place ${String(weak)} was not made by chance; make one with: baton secret`
}

const MIN_SECRET_BYTES = 32

/** Checks the secrets of signing keys and codes, where the environment has them: each list has secrets of its own. */
function checkOtherSecrets({ secrets = [] }: Opened, { around }: Input): Check[] {
  const owners = new Map(secrets.map((secret) => [bytesOf(secret), 'BATON_SECRET']))
  return ['SIGNING_SECRET', 'CODE_SECRET'].flatMap((name): Check[] => {
    const list = secretsOf(around, name)
    if (list === undefined) return []
    const owner = list.map((secret) => owners.get(bytesOf(secret))).find((found) => found !== undefined)
    for (const secret of list) owners.set(bytesOf(secret), name)
    const problem =
      owner === undefined
        ? (findShortSecret(list) ?? findWeakSecret(list))
        : `has a secret of ${owner}: whoever reads one can then misuse the other; make one with: baton secret ${name}`
    if (problem !== null) return [{ check: name, verdict: 'problem', says: problem }]
    return [{ check: name, verdict: 'ok', says: `has ${list.length === 1 ? 'one secret' : 'secrets'} of its own` }]
  })
}

function findShortSecret(secrets: readonly string[]): string | null {
  const short = secrets.findIndex((secret) => Buffer.byteLength(secret) < MIN_SECRET_BYTES)
  return short === -1 ? null : `the one at place ${String(short)} is shorter than ${String(MIN_SECRET_BYTES)} bytes`
}

function bytesOf(secret: string | Uint8Array | undefined): string {
  return Buffer.from(secret ?? '').toString('base64')
}

function checkPolicy({ tokens, config }: Opened): Check[] {
  if (config.policy === undefined) return []
  const { grace, graceMs, idleMs } = tokens.policy
  if (graceMs === 0)
    return [
      {
        check: 'policy',
        verdict: 'warning',
        says: 'graceSeconds is 0: two tabs that refresh at once end their session',
      },
    ]
  if (grace === 'same-attempt')
    return [
      {
        check: 'policy',
        verdict: 'warning',
        says: "grace is 'same-attempt': two tabs without a common lock that refresh at once end their session",
      },
    ]
  if (idleMs === null) return [{ check: 'policy', verdict: 'ok', says: 'no idle limit; the absolute one holds' }]
  return [
    { check: 'policy', verdict: 'ok', says: `grace ${String(graceMs / 1000)} s, idle ${String(idleMs / 1000)} s` },
  ]
}

/** A read that finds nothing: it shows that the way is open, that one may ask, and that tables are there. */
async function checkStore({ tokens, kind }: Opened): Promise<Check> {
  await tokens.find('A'.repeat(22))
  return { check: 'store', verdict: 'ok', says: kind === 'own' ? 'answers' : `${kind} answers` }
}

async function checkSettings({ redis }: Opened): Promise<Check[]> {
  if (redis === undefined) return []
  const findings = await redis.check()
  if (findings.length === 0)
    return [{ check: 'settings', verdict: 'ok', says: 'nothing under which sessions get lost' }]
  return findings.map(({ node, setting, value, advice }) => ({
    check: node === null ? 'settings' : `settings of ${node}`,
    verdict: 'warning',
    says: `${setting} is ${value}: ${advice}`,
  }))
}

async function checkClock({ clock }: Opened): Promise<Check[]> {
  if (clock === undefined) return []
  const before = Date.now()
  const there = await clock()
  const after = Date.now()
  // It was read somewhere in between.
  const skew = there < before ? before - there : Math.max(0, there - after)
  const isNear = skew <= MOST_SKEW_MS
  return [
    {
      check: 'clock',
      verdict: isNear ? 'ok' : 'warning',
      says: isNear
        ? "agrees with the store's machine"
        : `is ${(skew / 1000).toFixed(1)} s from that of the store's machine; keep all of them in step by NTP`,
    },
  ]
}

function reasonOf(failure: Error): string {
  const { cause } = failure
  const reason = cause instanceof Error ? `${failure.message}: ${cause.message}` : failure.message
  return reason === '' && failure instanceof AggregateError
    ? failure.errors.map((each) => (each instanceof Error ? each.message : String(each))).join(', ')
    : reason
}
