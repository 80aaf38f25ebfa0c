import { createRefreshTokens, ConfigurationError, type TokenStore } from '@baton/core'
import { type Command, EXIT, type Input } from '../command.js'
import { type OpenedStore, readSecrets, STORE_OPTIONS, withStore } from '../settings.js'
import { formatTable } from '../table.js'

interface Check {
  readonly check: string
  readonly verdict: 'ok' | 'warning' | 'problem'
  /** The finding and, for a warning or a problem, what to do about it. */
  readonly message: string
}

const MAX_SKEW_MS = 2000
const DISTINCT_CHARACTERS = 12

export const doctor: Command = {
  name: 'doctor',
  description: 'Checks secrets, policy, store, store settings and clock; changes nothing',
  operands: '',
  maxOperands: 0,
  options: STORE_OPTIONS,
  async run(input) {
    const checks = [checkNode(), ...(await checkAll(input))]
    const problems = checks.filter(({ verdict }) => verdict === 'problem').length
    input.print({
      json: { ok: problems === 0, checks },
      text: formatTable(checks.map(({ check, verdict, message }) => [verdict, check, message])),
    })
    return problems === 0 ? EXIT.ok : EXIT.negative
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
    // A store that cannot be opened is a finding. A wrong command line is not.
    if (!(failure instanceof Error) || failure.name === 'UsageError') throw failure
    const check = failure instanceof ConfigurationError ? failure.option : 'store'
    return [{ check, verdict: 'problem', message: describeFailure(failure) }]
  }
}

function checkNode(): Check {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const isNew = major > 20 || (major === 20 && minor >= 19)
  return {
    check: 'node',
    verdict: isNew ? 'ok' : 'problem',
    message: isNew ? process.version : `${process.version}; Baton needs 20.19 or newer`,
  }
}

function checkSecrets({ secrets }: OpenedStore, store: TokenStore): Check[] {
  if (secrets === undefined)
    return [
      {
        check: 'secrets',
        verdict: 'warning',
        message: 'not checked: set BATON_SECRET, or `secrets` in the config',
      },
    ]
  createRefreshTokens({ store, secrets })
  const weak = findWeakSecret(secrets)
  if (weak !== null) return [{ check: 'secrets', verdict: 'problem', message: weak }]
  return [
    {
      check: 'secrets',
      verdict: 'ok',
      message: secrets.length === 1 ? 'one secret' : `${String(secrets.length)} secrets; the first one signs`,
    },
  ]
}

function findWeakSecret(secrets: readonly unknown[]): string | null {
  const weak = secrets.findIndex((secret) => typeof secret === 'string' && new Set(secret).size < DISTINCT_CHARACTERS)
  return weak === -1 ? null : `secret ${String(weak)} is not random; generate one with: baton secret`
}

const MIN_SECRET_BYTES = 32

/** Checks the secrets of signing keys and codes that are in the environment. No secret may be used for two purposes. */
function checkOtherSecrets({ secrets = [] }: OpenedStore, { context }: Input): Check[] {
  const owners = new Map(secrets.map((secret) => [encodeSecret(secret), 'BATON_SECRET']))
  return ['SIGNING_SECRET', 'CODE_SECRET'].flatMap((name): Check[] => {
    const list = readSecrets(context, name)
    if (list === undefined) return []
    const owner = list.map((secret) => owners.get(encodeSecret(secret))).find((found) => found !== undefined)
    for (const secret of list) owners.set(encodeSecret(secret), name)
    const problem =
      owner === undefined
        ? (findShortSecret(list) ?? findWeakSecret(list))
        : `shares a secret with ${owner}, so that a leak of one affects both; generate one with: baton secret ${name}`
    if (problem !== null) return [{ check: name, verdict: 'problem', message: problem }]
    return [
      {
        check: name,
        verdict: 'ok',
        message: list.length === 1 ? 'one separate secret' : `${String(list.length)} separate secrets`,
      },
    ]
  })
}

function findShortSecret(secrets: readonly string[]): string | null {
  const short = secrets.findIndex((secret) => Buffer.byteLength(secret) < MIN_SECRET_BYTES)
  return short === -1 ? null : `secret ${String(short)} is shorter than ${String(MIN_SECRET_BYTES)} bytes`
}

function encodeSecret(secret: string | Uint8Array | undefined): string {
  return Buffer.from(secret ?? '').toString('base64')
}

function checkPolicy({ tokens, config }: OpenedStore): Check[] {
  if (config.policy === undefined) return []
  const { grace, graceMs, idleMs } = tokens.policy
  if (graceMs === 0)
    return [
      {
        check: 'policy',
        verdict: 'warning',
        message: 'graceSeconds is 0: two tabs that refresh at the same time end their session',
      },
    ]
  if (grace === 'same-attempt')
    return [
      {
        check: 'policy',
        verdict: 'warning',
        message:
          "grace is 'same-attempt': two tabs without a shared lock that refresh at the same time end their session",
      },
    ]
  if (idleMs === null) return [{ check: 'policy', verdict: 'ok', message: 'no idle limit; the absolute limit applies' }]
  return [
    { check: 'policy', verdict: 'ok', message: `grace ${String(graceMs / 1000)} s, idle ${String(idleMs / 1000)} s` },
  ]
}

/** Reads a family that does not exist. This needs a connection, permissions and tables. */
async function checkStore({ tokens, kind }: OpenedStore): Promise<Check> {
  await tokens.find('A'.repeat(22))
  return { check: 'store', verdict: 'ok', message: kind === 'custom' ? 'responds' : `${kind} responds` }
}

async function checkSettings({ redis }: OpenedStore): Promise<Check[]> {
  if (redis === undefined) return []
  const findings = await redis.check()
  if (findings.length === 0) return [{ check: 'settings', verdict: 'ok', message: 'no setting that can lose sessions' }]
  return findings.map(({ node, setting, value, advice }) => ({
    check: node === null ? 'settings' : `settings of ${node}`,
    verdict: 'warning',
    message: `${setting} is ${value}: ${advice}`,
  }))
}

async function checkClock({ clock }: OpenedStore): Promise<Check[]> {
  if (clock === undefined) return []
  const before = Date.now()
  const storeTime = await clock()
  const after = Date.now()
  // The store read its clock at some time between these two.
  const skew = storeTime < before ? before - storeTime : Math.max(0, storeTime - after)
  const isNear = skew <= MAX_SKEW_MS
  return [
    {
      check: 'clock',
      verdict: isNear ? 'ok' : 'warning',
      message: isNear
        ? 'agrees with the clock of the store'
        : `differs from the clock of the store by ${(skew / 1000).toFixed(1)} s; synchronize all clocks by NTP`,
    },
  ]
}

function describeFailure(failure: Error): string {
  const { cause } = failure
  const reason = cause instanceof Error ? `${failure.message}: ${cause.message}` : failure.message
  return reason === '' && failure instanceof AggregateError
    ? failure.errors.map((each) => (each instanceof Error ? each.message : String(each))).join(', ')
    : reason
}
