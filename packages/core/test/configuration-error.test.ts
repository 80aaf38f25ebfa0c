import { describe, expect, it, vi } from 'vitest'
import { ConfigurationError, createRefreshTokens } from '../src/index.js'
import { createKeyRing } from '../src/token/keys.js'
import { NEW_SECRET, OLD_SECRET, seededRandom, START, testStore, createSetup } from './setup.js'

/** JavaScript callers have no type checks, so they depend on these messages. */
const construct = (options: object) => createRefreshTokens({ store: testStore(), secrets: [OLD_SECRET], ...options })

function catchConfigurationError(run: () => unknown): ConfigurationError {
  try {
    run()
  } catch (error) {
    if (error instanceof ConfigurationError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

async function catchRejection(run: () => Promise<unknown>): Promise<ConfigurationError> {
  const error = await run().then(
    () => new Error('nothing was thrown'),
    (reason: unknown) => reason,
  )
  if (error instanceof ConfigurationError) return error
  throw error
}

const SECRET = 'a-secret-too-short'
/** Found by a search: both secrets derive the same three bytes of key id. */
const COLLIDING = ['collision search, secret number 843', 'collision search, secret number 5364'] as const

describe('messages of createRefreshTokens', () => {
  it.each([
    ['store', { store: undefined }, /^option "store" is missing; it must be a store/],
    ['store', { store: 'redis://somewhere' }, /^option "store" has no method create\(\); .* not a driver or a URL/],
    ['store', { store: { ...testStore(), rotate: undefined } }, /^option "store" has no method rotate\(\)/],
    [
      'secrets',
      { secrets: undefined },
      /^option "secrets" is missing; it must be a list \[current, \.\.\.older\] of secrets/,
    ],
    ['secrets', { secrets: NEW_SECRET }, /^option "secrets" must be a list .*got a string; create one with/],
    ['secrets', { secrets: [] }, /^option "secrets" must be a list .*, got an empty list;/],
    [
      'secrets[0]',
      { secrets: [undefined] },
      /^option "secrets\[0\]" must be .*, got undefined; create one with: openssl rand -hex 32$/,
    ],
    ['secrets[1]', { secrets: [OLD_SECRET, null] }, /^option "secrets\[1\]" must be .*, got null/],
    [
      'secrets[0]',
      { secrets: [SECRET] },
      /^option "secrets\[0\]" must be at least 32 random bytes, got 18 bytes; .*openssl rand/,
    ],
    [
      'secrets[0]',
      { secrets: [new Uint8Array(31)] },
      /^option "secrets\[0\]" must be at least 32 random bytes, got 31 bytes/,
    ],
    [
      'secrets[1]',
      { secrets: [OLD_SECRET, OLD_SECRET] },
      /^option "secrets\[1\]" must have another key id .*remove the duplicate/,
    ],
    [
      'secrets[1]',
      { secrets: [OLD_SECRET, Buffer.from(OLD_SECRET)] },
      /^option "secrets\[1\]" must have another key id/,
    ],
    ['policy', { policy: null }, /^option "policy" must be an object, got null/],
    ['policy', { policy: 'strict' }, /^option "policy" must be an object, got "strict"/],
    [
      'policy.graceSecond',
      { policy: { graceSecond: 0 } },
      /^option "policy\.graceSecond" is not an option of policy; did you mean "graceSeconds"\?/,
    ],
    [
      'policy.offline.rotation',
      { policy: { offline: { rotation: 'never' } } },
      /^option "policy\.offline\.rotation" is not an option/,
    ],
    [
      'policy.graceSeconds',
      { policy: { graceSeconds: -1 } },
      /^option "policy\.graceSeconds" must be .* from 0 to 60, got -1; .*idempotency keys$/,
    ],
    ['policy.graceSeconds', { policy: { graceSeconds: 61 } }, /^option "policy\.graceSeconds" must be .* got 61;/],
    ['policy.graceSeconds', { policy: { graceSeconds: 1.5 } }, /^option "policy\.graceSeconds" must be .* got 1\.5;/],
    ['policy.graceSeconds', { policy: { graceSeconds: '30' } }, /^option "policy\.graceSeconds" must be .* got "30";/],
    ['policy.graceSeconds', { policy: { graceSeconds: 30_000 } }, /got 30000; 30000 milliseconds are 30 seconds$/],
    [
      'policy.grace',
      { policy: { grace: 'same' } },
      /^option "policy\.grace" must be "any-attempt" or "same-attempt", got "same"$/,
    ],
    [
      'policy.sameAttemptSeconds',
      { policy: { sameAttemptSeconds: 0 } },
      /must be .* from 1 to 86400, got 0; the maximum is 24 hours$/,
    ],
    ['policy.sameAttemptSeconds', { policy: { sameAttemptSeconds: 86_401 } }, /got 86401; the maximum is 24 hours$/],
    ['policy.sameAttemptSeconds', { policy: { sameAttemptSeconds: null } }, /got null; the maximum is 24 hours$/],
    [
      'policy.sameAttemptSeconds',
      { policy: { sameAttemptSeconds: 43_200_000 } },
      /43200000 milliseconds are 43200 seconds$/,
    ],
    [
      'policy.idleSeconds',
      { policy: { idleSeconds: -1000 } },
      /must be a whole number .* got -1000; the maximum is ten years$/,
    ],
    ['policy.idleSeconds', { policy: { idleSeconds: '1000' } }, /got "1000"; the maximum is ten years$/],
    [
      'policy.absoluteSeconds',
      { policy: { absoluteSeconds: 315_360_500 } },
      /got 315360500; the maximum is ten years$/,
    ],
    [
      'policy.absoluteSeconds',
      { policy: { absoluteSeconds: 1_000_000_000 } },
      /1000000000 milliseconds are 1000000 seconds$/,
    ],
    [
      'policy.idleSeconds',
      { policy: { idleSeconds: 0 } },
      /^option "policy\.idleSeconds" must be .* from 1 to .*, got 0;/,
    ],
    ['policy.idleSeconds', { policy: { idleSeconds: '30d' } }, /^option "policy\.idleSeconds" must be .*, got "30d";/],
    [
      'policy.idleSeconds',
      { policy: { idleSeconds: Number.NaN } },
      /^option "policy\.idleSeconds" must be .*, got NaN;/,
    ],
    [
      'policy.idleSeconds',
      { policy: { idleSeconds: 100, absoluteSeconds: 99 } },
      /must be at most absoluteSeconds \(99\), got 100; lower it, or set it to null/,
    ],
    [
      'policy.absoluteSeconds',
      { policy: { absoluteSeconds: Infinity } },
      /^option "policy\.absoluteSeconds" must be .*, got Infinity;/,
    ],
    [
      'policy.absoluteSeconds',
      { policy: { absoluteSeconds: 7_776_000_000 } },
      /7776000000 milliseconds are 7776000 seconds$/,
    ],
    [
      'policy.absoluteSeconds',
      { policy: { absoluteSeconds: 315_360_001 } },
      /^option "policy\.absoluteSeconds" must be .*, got 315360001;/,
    ],
    [
      'policy.absoluteSeconds',
      { policy: { idleSeconds: null, absoluteSeconds: null } },
      /^option "policy\.absoluteSeconds" must be .*, got null;/,
    ],
    ['policy.offline', { policy: { offline: true } }, /^option "policy\.offline" must be an object, got true/],
    [
      'policy.offline.idleSeconds',
      { policy: { offline: { idleSeconds: -5 } } },
      /^option "policy\.offline\.idleSeconds" must be .*, got -5;/,
    ],
    [
      'policy.offline.absoluteSeconds',
      { policy: { offline: { absoluteSeconds: 0 } } },
      /^option "policy\.offline\.absoluteSeconds" must be .*, got 0;/,
    ],
    [
      'policy.rotation',
      { policy: { rotation: 'sometimes' } },
      /^option "policy\.rotation" must be "always" or "never", got "sometimes"/,
    ],
    ['tokenPrefix', { tokenPrefix: '' }, /^option "tokenPrefix" must be 1 to 16 letters, .*, got ""$/],
    ['tokenPrefix', { tokenPrefix: 'acme.' }, /^option "tokenPrefix" must be 1 to 16 .*, got "acme\."$/],
    [
      'tokenPrefix',
      { tokenPrefix: 'x'.repeat(17) },
      /^option "tokenPrefix" must be 1 to 16 .*, got a string of 17 characters$/,
    ],
    [
      'tokenPrefix',
      { tokenPrefix: 'sixteen letters:' },
      /^option "tokenPrefix" must be 1 to 16 .*, got "sixteen letters:"$/,
    ],
    ['tokenPrefix', { tokenPrefix: () => 'brt_' }, /^option "tokenPrefix" must be 1 to 16 .*, got a function$/],
    ['tokenPrefix', { tokenPrefix: 1234 }, /^option "tokenPrefix" must be 1 to 16 .*, got 1234$/],
    ['storeTimeoutSeconds', { storeTimeoutSeconds: 0 }, /^option "storeTimeoutSeconds" must be .*, got 0; use null/],
    ['storeTimeoutSeconds', { storeTimeoutSeconds: 5000 }, /^option "storeTimeoutSeconds" must be .*, got 5000;/],
    ['storeTimeoutSeconds', { storeTimeoutSeconds: '5' }, /^option "storeTimeoutSeconds" must be .*, got "5";/],
    ['beforeRotate', { beforeRotate: true }, /^option "beforeRotate" must be a function, got true/],
    ['onEvent', { onEvent: null }, /^option "onEvent" must be a function, got null$/],
    ['now', { now: 0 }, /^option "now" must be a function, got 0/],
    ['random', { random: 'yes' }, /^option "random" must be a function/],
    [
      'onevent',
      { onevent: () => undefined },
      /^option "onevent" is not an option of createRefreshTokens; did you mean "onEvent"\? \(options: store, secrets/,
    ],
  ])('names option %s, its value and the fix: %o', (option, options, message) => {
    const configurationError = catchConfigurationError(() => construct(options))
    expect(configurationError.message).toMatch(message)
    expect(configurationError.option).toBe(option)
    expect(configurationError.code).toBe('invalid_option')
    for (const secret of [OLD_SECRET, NEW_SECRET, SECRET]) expect(configurationError.message).not.toContain(secret)
  })

  it.each([undefined, null, 'options', 5])('throws for %s instead of options', (options) => {
    expect(catchConfigurationError(() => createRefreshTokens(options as never)).message).toMatch(
      /^option "createRefreshTokens" must be an obj/,
    )
  })

  it('throws for a secret that is missing in the environment', () => {
    const unset = process.env['BATON_SECRET_THAT_NOBODY_SETS']
    expect(catchConfigurationError(() => createRefreshTokens({ store: testStore(), secrets: [unset] })).option).toBe(
      'secrets[0]',
    )
  })

  it('rejects two secrets with the same key id', () => {
    const [one, other] = COLLIDING
    expect(createKeyRing([one]).current.id).toBe(createKeyRing([other]).current.id)
    expect(catchConfigurationError(() => createKeyRing([one, other])).option).toBe('secrets[1]')
  })
})

describe('valid options', () => {
  it.each([
    ['no limit set', {}, { idleMs: 2_592_000_000, absoluteMs: 7_776_000_000, graceMs: 30_000, rotation: 'always' }],
    ['a short absolute limit alone', { absoluteSeconds: 3600 }, { idleMs: 3_600_000, absoluteMs: 3_600_000 }],
    ['no idle limit', { idleSeconds: null }, { idleMs: null, absoluteMs: 7_776_000_000 }],
    ['the same attempt only', { grace: 'same-attempt' }, { grace: 'same-attempt', graceMs: 30_000 }],
    ['no grace window', { graceSeconds: 0 }, { graceMs: 0, sameAttemptMs: 43_200_000 }],
    ['the longest window of an attempt', { sameAttemptSeconds: 86_400 }, { sameAttemptMs: 86_400_000 }],
    ['the longest grace', { graceSeconds: 60 }, { graceMs: 60_000 }],
    ['idle as long as absolute', { idleSeconds: 60, absoluteSeconds: 60 }, { idleMs: 60_000, absoluteMs: 60_000 }],
    ['one second', { idleSeconds: 1, absoluteSeconds: 1 }, { idleMs: 1000, absoluteMs: 1000 }],
    ['ten years', { absoluteSeconds: 315_360_000 }, { absoluteMs: 315_360_000_000 }],
    ['offline', {}, { offline: { idleMs: 7_776_000_000, absoluteMs: 31_536_000_000 } }],
  ])('accepts a policy with %s', (_name, policy, expected) => {
    expect(construct({ policy }).policy).toMatchObject(expected)
  })

  it('measures a secret in bytes and not in characters', () => {
    expect(createKeyRing(['é'.repeat(16)]).current.id).toBe(createKeyRing([Buffer.from('é'.repeat(16))]).current.id)
  })

  it('accepts secrets of 32 bytes as text or bytes, and no store timeout', () => {
    construct({ secrets: ['x'.repeat(32), new Uint8Array(32)], storeTimeoutSeconds: null, policy: undefined })
  })

  it('accepts the longest store timeout', () => {
    construct({ storeTimeoutSeconds: 60 })
  })

  it('accepts a grant of the maximum size and one with only a subject', async () => {
    const { tokens } = createSetup()
    const grant = {
      subject: 'é'.repeat(512),
      scope: 'x'.repeat(4096),
      audience: Array.from({ length: 64 }, (_, index) => String(index)),
      metadata: { agent: 'x'.repeat(4096 - '{"agent":""}'.length) },
    }
    expect((await tokens.issue(grant)).family).toMatchObject(grant)
    const { family } = await tokens.issue({ subject: 'alice' })
    expect(family).toMatchObject({ scope: '', audience: [], confirmation: null, offline: false, metadata: {} })
  })

  it('accepts limits of 1 and 100 for list, and of 1 for purge', async () => {
    const { tokens } = createSetup()
    for (const limit of [1, 100]) expect((await tokens.list({ subject: 'alice', limit })).items).toEqual([])
    expect(await tokens.purge(1)).toBe(0)
  })

  it.each([1, 600])('accepts a reservation for %i seconds', (expiresInSeconds) => {
    const { issuedAt, expiresAt } = createSetup().tokens.reserve({ subject: 'alice', expiresInSeconds })
    expect(expiresAt - issuedAt).toBe(expiresInSeconds * 1000)
  })
})

describe('issue', () => {
  const cyclic: Record<string, unknown> = {}
  cyclic['self'] = cyclic

  it.each([
    ['issue', undefined, /^option "issue" must be an object, got undefined/],
    [
      'subject',
      { subject: undefined },
      /^option "subject" is missing; it must be well-formed text of 1 to 1024 bytes without NUL$/,
    ],
    ['subject', { subject: '' }, /got ""$/],
    ['subject', { subject: 42 }, /got 42/],
    ['subject', { subject: 'é'.repeat(513) }, /got a string of 513 characters; it is 1026 bytes long$/],
    ['subject', { subject: 'a\0b' }, /^option "subject" /],
    ['subject', { subject: 'half \ud83d' }, /^option "subject" /],
    ['clientId', { clientId: null }, /^option "clientId" .* got null/],
    ['scope', { scope: ['a'] }, /^option "scope" must be a string, got a list; join/],
    ['scope', { scope: 'a  b' }, /^option "scope" must match the grammar of RFC 6749/],
    ['scope', { scope: 'é' }, /^option "scope" must match the grammar/],
    ['scope', { scope: 'x'.repeat(4097) }, /^option "scope" must be at most 4096 characters long, got 4097/],
    [
      'audience',
      { audience: 'https://api' },
      /^option "audience" must be a list .* got a string of 11 characters|"https:\/\/api"/,
    ],
    ['audience', { audience: [1] }, /^option "audience" .* got 1/],
    ['audience', { audience: ['https://a/#b'] }, /^option "audience" must not contain a fragment .* "https:\/\/a\/#b"/],
    ['audience', { audience: ['/api'] }, /^option "audience" must not contain .* relative reference/],
    ['audience', { audience: Array.from({ length: 65 }, String) }, /^option "audience" .* got a list of 65/],
    [
      'confirmation',
      { confirmation: 'jkt:thumbprint' },
      /^option "confirmation" must be an object, got "jkt:thumbprint"/,
    ],
    ['confirmation', { confirmation: {} }, /^option "confirmation" must be an object with one member, jkt or x5t#S256/],
    [
      'confirmation',
      { confirmation: { jkt: 'a', 'x5t#S256': 'b' } },
      /^option "confirmation" must be an object with one member/,
    ],
    ['confirmation', { confirmation: { kid: 'a' } }, /^option "confirmation" must be an object with one member/],
    ['confirmation.jkt', { confirmation: { jkt: '' } }, /^option "confirmation\.jkt" /],
    ['confirmation.jkt', { confirmation: { jkt: {} } }, /^option "confirmation\.jkt" .* got an object/],
    ['offline', { offline: 'false' }, /^option "offline" must be true or false, got "false"/],
    ['metadata', { metadata: 'Firefox' }, /^option "metadata" must be an object, got "Firefox"/],
    ['metadata', { metadata: [1] }, /^option "metadata" must be an object, got a list/],
    ['metadata', { metadata: new Date() }, /^option "metadata" must be an object/],
    ['metadata', { metadata: cyclic }, /^option "metadata" must be an object/],
    ['metadata', { metadata: { big: 1n } }, /^option "metadata" must be an object/],
    ['metadata', { metadata: { toJSON: () => undefined } }, /^option "metadata" must be an object/],
    [
      'metadata',
      { metadata: { agent: 'x'.repeat(4096) } },
      /^option "metadata" must be at most 4096 bytes of JSON, got 4108/,
    ],
  ])('throws a ConfigurationError for %s of issue: %o', async (option, request, message) => {
    const setup = createSetup()
    const configurationError = await catchRejection(() =>
      setup.tokens.issue((request && { subject: 'alice', ...request }) as never),
    )
    expect(configurationError.message).toMatch(message)
    expect(configurationError.option).toBe(option)
    expect(setup.store.calls).toEqual([])
    expect(setup.events).toEqual([])
  })

  it('rejects a source of randomness that returns the wrong type or number of bytes', async () => {
    for (const random of [() => new Uint8Array(8), () => 'abc', async () => new Uint8Array(16)]) {
      const configurationError = await catchRejection(() =>
        createSetup({ random: random as never }).tokens.issue({ subject: 'alice' }),
      )
      expect(configurationError.message).toMatch(
        /^option "random" must return a Uint8Array of the \d+ bytes that were requested$/,
      )
    }
  })
})

/** Identical in each run, because it is part of test names. */
const RESERVATION = createSetup({ random: seededRandom('reservation') }).tokens.reserve({
  subject: 'alice',
  expiresInSeconds: 60,
})

describe('reserve', () => {
  it.each([
    ['subject', { subject: '' }],
    ['scope', { scope: 'a  b' }],
    ['metadata', { metadata: [] }],
    ['expiresInSeconds', { expiresInSeconds: undefined }],
    ['expiresInSeconds', { expiresInSeconds: 0 }],
    ['expiresInSeconds', { expiresInSeconds: 601 }],
    ['expiresInSeconds', { expiresInSeconds: 1.5 }],
  ])('throws a ConfigurationError for %s of reserve: %o', (option, request) => {
    const reserve = () => createSetup().tokens.reserve({ subject: 'alice', expiresInSeconds: 60, ...request } as never)
    expect(catchConfigurationError(reserve).option).toBe(option)
  })
})

describe('complete messages', () => {
  const redemption = { reservation: RESERVATION, matches: true }
  it.each([
    ['reserve', [undefined], 'option "reserve" must be an object, got undefined'],
    [
      'reserve',
      [{ subject: 'alice', expiresInSeconds: '60' }],
      'option "expiresInSeconds" must be a whole number of seconds from 1 to 600, got "60"',
    ],
    [
      'redeem',
      [{ ...redemption, maxLifetimeSeconds: 0.5 }],
      'option "maxLifetimeSeconds" must be an integer from 1 to 9007199254740991, got 0.5',
    ],
    [
      'redeem',
      [{ matches: true, reservation: { ...RESERVATION, issuedAt: 1.5 } }],
      'option "reservation.issuedAt" must be epoch milliseconds, got 1.5',
    ],
    [
      'redeem',
      [{ matches: true, reservation: { ...RESERVATION, secret: RESERVATION.handle } }],
      'option "reservation" must be a reservation that reserve() returned',
    ],
    ['revoke', [{}], 'option "refreshToken" is missing; set refreshToken or familyId'],
    ['consumeOnce', [{ purpose: 'test', key: 5, expiresAt: 1 }], 'option "key" must be a string, got 5'],
    [
      'consumeOnce',
      [{ purpose: 'test', key: 'key', expiresAt: '2030' }],
      'option "expiresAt" must be a finite number of epoch milliseconds, got "2030"; call getTime() on a Date',
    ],
    ['list', [{ subject: 'alice', limit: 101 }], 'option "limit" must be an integer from 1 to 100, got 101'],
  ] as const)('throws the complete message for %s with %j', async (method, given, message) => {
    const tokens = createSetup().tokens as unknown as Record<string, (...given: unknown[]) => unknown>
    expect((await catchRejection(async () => tokens[method]!(...given))).message).toBe(message)
  })
})

describe('the other operations', () => {
  it.each([
    ['rotate', 'rotate', [undefined]],
    ['rotate', 'rotate', ['brt_token']],
    ['rotate', 'clientId', [{ refreshToken: 'x', clientId: {} }]],
    ['rotate', 'clientId', [{ refreshToken: 'x', clientId: '' }]],
    ['rotate', 'confidential', [{ refreshToken: 'x', confidential: 'no' }]],
    ['rotate', 'confirmation', [{ refreshToken: 'x', confirmation: {} }]],
    ['rotate', 'validAfter', [{ refreshToken: 'x', validAfter: '2030' }]],
    ['rotate', 'rotation', [{ refreshToken: 'x', rotation: 'Never' }]],
    ['rotate', 'checkRateLimit', [{ refreshToken: 'x', checkRateLimit: true }]],
    ['rotate', 'beforeCommit', [{ refreshToken: 'x', beforeCommit: null }]],
    ['revoke', 'refreshToken', [undefined]],
    ['revoke', 'refreshToken', [{}]],
    ['revoke', 'clientId', [{ refreshToken: 'x', clientId: 5 }]],
    ['revoke', 'subject', [{ refreshToken: 'x', subject: '' }]],
    ['revoke', 'confirmation', [{ refreshToken: 'x', confirmation: 5 }]],
    ['revoke', 'reason', [{ refreshToken: 'x', reason: 'because' }]],
    ['revokeSubject', 'subject', [undefined]],
    ['revokeSubject', 'reason', ['alice', { reason: 'because' }]],
    ['list', 'list', [undefined]],
    ['list', 'subject', [{}]],
    ['list', 'cursor', [{ subject: 'alice', cursor: 5 }]],
    ['list', 'limit', [{ subject: 'alice', limit: 0 }]],
    ['list', 'limit', [{ subject: 'alice', limit: 101 }]],
    ['list', 'limit', [{ subject: 'alice', limit: '5' }]],
    ['redeem', 'redeem', [undefined]],
    ['redeem', 'reservation', [{ matches: true }]],
    ['redeem', 'reservation', [{ reservation: { ...RESERVATION, handle: 'short' }, matches: true }]],
    ['redeem', 'reservation', [{ reservation: { ...RESERVATION, secret: 5 }, matches: true }]],
    ['redeem', 'reservation.grant', [{ reservation: { ...RESERVATION, grant: null }, matches: true }]],
    ['redeem', 'reservation.expiresAt', [{ reservation: { ...RESERVATION, expiresAt: '1' }, matches: true }]],
    ['redeem', 'reservation.grant.subject', [{ reservation: { ...RESERVATION, grant: {} }, matches: true }]],
    ['redeem', 'matches', [{ reservation: RESERVATION }]],
    ['redeem', 'matches', [{ reservation: RESERVATION, matches: 'yes' }]],
    ['redeem', 'confirmation.jkt', [{ reservation: RESERVATION, matches: true, confirmation: { jkt: '' } }]],
    ['redeem', 'validAfter', [{ reservation: RESERVATION, matches: true, validAfter: new Date() }]],
    ['redeem', 'maxLifetimeSeconds', [{ reservation: RESERVATION, matches: true, maxLifetimeSeconds: 0 }]],
    ['redeem', 'checkRateLimit', [{ reservation: RESERVATION, matches: true, checkRateLimit: true }]],
    ['redeem', 'beforeCommit', [{ reservation: RESERVATION, matches: true, beforeCommit: {} }]],
    ['consumeOnce', 'consumeOnce', ['key']],
    ['consumeOnce', 'purpose', [{ key: 'key', expiresAt: 1 }]],
    ['consumeOnce', 'key', [{ purpose: 'test', key: 5, expiresAt: 1 }]],
    ['consumeOnce', 'expiresAt', [{ purpose: 'test', key: 'key' }]],
    ['consumeOnce', 'expiresAt', [{ purpose: 'test', key: 'key', expiresAt: NaN }]],
    ['purge', 'limit', [null]],
    ['purge', 'limit', [1.5]],
  ] as const)('%s rejects with a ConfigurationError for %s: %o', async (method, option, given) => {
    const setup = createSetup()
    const tokens = setup.tokens as unknown as Record<string, (...given: unknown[]) => Promise<unknown>>
    expect((await catchRejection(() => tokens[method]!(...given))).option).toBe(option)
    expect(setup.store.calls).toEqual([])
  })
})

describe('unknown options', () => {
  it.each([
    ['issue', { subject: 'alice' }],
    ['reserve', { subject: 'alice', expiresInSeconds: 60 }],
    ['redeem', { reservation: RESERVATION, matches: true }],
    ['rotate', { refreshToken: 'x' }],
    ['revoke', { refreshToken: 'x' }],
    ['list', { subject: 'alice' }],
    ['consumeOnce', { purpose: 'test', key: 'key', expiresAt: START + 1 }],
  ] as const)('rejects a misspelt option of %s before any store call', async (method, valid) => {
    const setup = createSetup()
    const tokens = setup.tokens as unknown as Record<string, (given: object) => unknown>
    const error = await catchRejection(async () => tokens[method]!({ ...valid, metadatas: {} }))
    expect(error.option).toBe('metadatas')
    expect(error.message).toMatch(new RegExp(`^option "metadatas" is not an option of ${method}`))
    expect(setup.store.calls).toEqual([])
  })
})

describe('onEvent', () => {
  it.each([
    [
      'throws',
      () => {
        throw new Error('log full')
      },
    ],
    ['rejects', async () => Promise.reject(new Error('log full'))],
  ])('returns the token and emits a process warning if onEvent %s', async (_name, onEvent) => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    try {
      const { refreshToken } = await createSetup({ onEvent }).tokens.issue({ subject: 'alice' })
      expect(refreshToken).toMatch(/^brt_/)
      await new Promise(setImmediate)
      expect(warn).toHaveBeenCalledExactlyOnceWith('onEvent failed on an event of type issued', 'BatonWarning')
    } finally {
      warn.mockRestore()
    }
  })
})

describe('randomness', () => {
  it('K-03: draws different random bytes for each token by default', async () => {
    const setup = createSetup()
    const tokens = await Promise.all(Array.from({ length: 1000 }, () => setup.tokens.issue({ subject: 'alice' })))
    expect(new Set(tokens.map(({ refreshToken }) => refreshToken)).size).toBe(1000)
  })
})
