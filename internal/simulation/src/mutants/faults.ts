/** One deliberate error in the sources. */
export interface Fault {
  readonly name: string
  readonly file: string
  /** Occurs exactly once in the file. */
  readonly find: string
  readonly replace: string
  /** The tests of the surrounding code. */
  readonly tests: readonly string[]
}

const CORE = 'packages/core'
const decide = `${CORE}/src/decision/decide.ts`
const rotate = `${CORE}/src/operations/rotate.ts`
const swap = `${CORE}/src/operations/swap.ts`
const exchange = `${CORE}/src/operations/exchange.ts`
const format = `${CORE}/src/token/format.ts`
const derive = `${CORE}/src/token/derive.ts`
const relation = `${CORE}/src/token/relation.ts`
const family = `${CORE}/src/model/family.ts`
const revoke = `${CORE}/src/operations/revoke.ts`
const redeem = `${CORE}/src/operations/redeem.ts`
const legacyToken = `${CORE}/src/operations/legacy-token.ts`
const consumeOnce = `${CORE}/src/operations/consume-once.ts`
const GRANT = 'grants/authorization-code.ts'
const VERIFICATION_CACHE = 'access-tokens/verification-cache.ts'
const POLICY = 'clients/client-policy.ts'
const memory = 'packages/store-memory/src/memory-store.ts'

const coreTests = [
  `${CORE}/test/decision/decide.test.ts`,
  `${CORE}/test/token/format.test.ts`,
  `${CORE}/test/operations/rotate.test.ts`,
  `${CORE}/test/operations/issue-and-revoke.test.ts`,
  `${CORE}/test/properties.test.ts`,
  `${CORE}/test/operations/legacy-token.test.ts`,
  `${CORE}/test/operations/consume-once.test.ts`,
  `${CORE}/test/operations/redeem.test.ts`,
  `${CORE}/test/operations/reported-revocations.test.ts`,
  `${CORE}/test/model/numbers.test.ts`,
  `${CORE}/test/configuration-error.test.ts`,
]
const memoryTests = ['packages/store-memory/test/memory-store.test.ts']
const httpTests = ['packages/http/test/']
const clientTests = ['refresh-decisions', 'token-state', 'session', 'sign-in-and-out'].map(
  (one) => `packages/client/test/${one}.test.ts`,
)

function inCore(name: string, file: string, find: string, replace: string): Fault {
  return { name, file, find, replace, tests: coreTests }
}

function inMemoryStore(name: string, find: string, replace: string): Fault {
  return { name, file: memory, find, replace, tests: memoryTests }
}

function inApply(name: string, find: string, replace: string): Fault {
  return { name, file: `${CORE}/src/store/apply.ts`, find, replace, tests: [`${CORE}/test/store/`, ...memoryTests] }
}

function inHttp(name: string, file: string, find: string, replace: string): Fault {
  return { name, file: `packages/http/src/${file}`, find, replace, tests: httpTests }
}

function inClient(name: string, file: string, find: string, replace: string): Fault {
  return { name, file: `packages/client/src/${file}`, find, replace, tests: clientTests }
}

/**
 * One fault for each rule of the decision table, each part of the token format, each step of the swap and each rule of
 * the endpoints.
 */
export const faults: readonly Fault[] = [
  // The decision table.
  inCore('accepts the token of a superseded subject', decide, "if (superseded) return reject('superseded')\n", ''),
  inCore(
    'accepts another client or key',
    decide,
    "if (!facts.sameClient || !facts.sameKey) return reject('mismatch')",
    '',
  ),
  inCore('accepts another key', decide, '!facts.sameClient || !facts.sameKey', '!facts.sameClient'),
  inCore(
    'revokes the family when another client presents its token',
    decide,
    "if (!facts.sameClient || !facts.sameKey) return reject('mismatch')",
    "if (!facts.sameClient || !facts.sameKey) return revoke('reuse')",
  ),
  inCore(
    'rotates a revoked family',
    decide,
    "if (facts.revoked) return reject('revoked')\n  if (now >= facts.expiresAt)",
    'if (now >= facts.expiresAt)',
  ),
  inCore('rotates an expired family', decide, "if (now >= facts.expiresAt) return reject('expired')\n", ''),
  inCore(
    'accepts a family at the instant of its expiry',
    decide,
    'if (now >= facts.expiresAt)',
    'if (now > facts.expiresAt)',
  ),
  inCore(
    'ignores a rejection by the checks of the request',
    decide,
    "if (requestRejection !== null && relation !== 'far_ahead' && relation !== 'unrelated') return reject(requestRejection)\n",
    '',
  ),
  inCore(
    'only rejects a reused token in an invalid request',
    decide,
    " && relation !== 'far_ahead' && relation !== 'unrelated'",
    '',
  ),
  inCore(
    'accepts every predecessor as a retry',
    decide,
    "return isRetry(facts, arrivedAt, rules) ? mint('retried') : revoke('reuse')",
    "return mint('retried')",
  ),
  inCore(
    'accepts no predecessor as a retry',
    decide,
    "return isRetry(facts, arrivedAt, rules) ? mint('retried') : revoke('reuse')",
    "return revoke('reuse')",
  ),
  inCore(
    'revokes the family when the key of its record is missing',
    decide,
    "return isRetry(facts, arrivedAt, rules) ? { kind: 'fault' } : revoke('reuse')",
    "return revoke('reuse')",
  ),
  inCore('never heals after a rollback of the store', decide, "return mint('healed')", "return revoke('reuse')"),
  inCore('heals a token that is far ahead', decide, "return revoke('rollback')", "return mint('healed')"),
  inCore(
    'rejects an unrelated token without revoking the family',
    decide,
    "// A grandparent inside the grace window is reuse as well: its successor has been used.\n      return revoke('reuse')",
    "return reject('unknown')",
  ),
  inCore(
    'accepts an unrelated token as a retry',
    decide,
    "// A grandparent inside the grace window is reuse as well: its successor has been used.\n      return revoke('reuse')",
    "return mint('retried')",
  ),
  inCore('never closes the grace window', decide, ': graceMs\n', ': graceMs && Infinity\n'),
  inCore('never closes the window of an attempt', decide, 'Math.max(graceMs, sameAttemptMs)', 'Infinity'),
  inCore('closes the grace window one instant too late', decide, 'arrivedAt < rotatedAt', 'arrivedAt <= rotatedAt'),
  inCore(
    'accepts a retry at the same instant without a grace window',
    decide,
    'windowMs > 0 && arrivedAt <',
    'arrivedAt <=',
  ),
  inCore(
    'ignores that the attempt is the same',
    decide,
    "if (attempt === 'same') return Math.max(graceMs, sameAttemptMs)\n",
    "if (attempt === 'same') return graceMs\n",
  ),
  inCore(
    'accepts another attempt with grace "same-attempt"',
    decide,
    "grace === 'same-attempt' && attempt !== 'unknown' ? 0 : graceMs",
    'graceMs',
  ),
  inCore(
    'accepts a request without a key with grace "same-attempt"',
    decide,
    "attempt !== 'unknown' ? 0",
    "attempt === 'other' ? 0",
  ),
  inCore(
    'gives requests without keys no grace with grace "same-attempt"',
    decide,
    "grace === 'same-attempt' && attempt !== 'unknown' ? 0",
    "grace === 'same-attempt' ? 0",
  ),
  inCore(
    'accepts a bound token without a proof before the lookup',
    decide,
    "if (token.bound && !request.hasConfirmation) return reject('mismatch')\n",
    '',
  ),
  inCore('ignores validAfter of a client', decide, 'token.createdAtSeconds * 1000 < request.validAfter', 'false'),
  inCore(
    'refreshes with a cookie of another session',
    decide,
    'request.familyId !== undefined && request.familyId !== token.familyId',
    'false',
  ),

  // The token.
  inCore(
    'skips the check of the tag',
    format,
    "if (!timingSafeEqual(tag, bytes.subarray(TAG_AT))) return { kind: 'malformed' }\n",
    '',
  ),
  inCore('accepts a second encoding of the same token', format, 'if (!BASE64URL.test(body)) return null\n', ''),
  inCore('accepts unknown flags', format, ' && (head & 0x0f & ~BOUND_FLAG) === 0', ''),
  inCore(
    'derives the successor without the nonce',
    derive,
    'generation, nonce, token.secret]',
    'generation, token.secret]',
  ),
  inCore(
    'derives the successor without its predecessor',
    derive,
    'generation, nonce, token.secret]',
    'generation, nonce]',
  ),
  inCore(
    'drops the proof of the predecessor from the token',
    derive,
    'previousProof: token.proof }',
    'previousProof: token.previousProof }',
  ),
  inCore(
    'heals without checking the predecessor',
    relation,
    "return isSameText(computePreviousVerifier(token, binding), current.verifier) ? 'one_ahead' : 'unrelated'",
    "return 'one_ahead'",
  ),
  inCore(
    'retries without checking the successor',
    relation,
    "return isSameText(computeVerifier(successor, binding), current.verifier) ? 'predecessor' : 'unrelated'",
    "return 'predecessor'",
  ),
  inCore(
    'accepts a current token without checking its verifier',
    relation,
    "return isSameText(computeVerifier(token, binding), current.verifier) ? 'current' : 'unrelated'",
    "return 'current'",
  ),
  inCore('leaves the key out of the verifier', derive, 'serializeConfirmation(confirmation), proof]', 'proof]'),
  inCore(
    'leaves the client out of the verifier',
    derive,
    'generation, clientId, createdAtSeconds',
    'generation, createdAtSeconds',
  ),
  inCore(
    'leaves the creation time out of the verifier',
    derive,
    'createdAtSeconds, serializeConfirmation(confirmation)',
    'serializeConfirmation(confirmation)',
  ),
  inCore(
    'derives the same retry key for every generation',
    derive,
    '[token.familyId, token.generation, idempotencyKey]',
    '[token.familyId, idempotencyKey]',
  ),

  // Redemption of a code.
  inCore(
    'redeems a revoked code',
    decide,
    "if (facts.revoked) return reject('revoked')\n  if (facts.isOwn)",
    'if (facts.isOwn)',
  ),
  inCore(
    'accepts a second redemption of a code by another attempt',
    decide,
    'if (facts.sameAttempt) return now >= facts.expiresAt',
    'if (now > 0) return now >= facts.expiresAt',
  ),
  inCore(
    'rejects every retry of a redemption',
    decide,
    "if (facts.sameAttempt) return now >= facts.expiresAt ? reject('expired') : { kind: 'mint', outcome: 'retried' }\n",
    '',
  ),
  inCore('redeems a code without its requirements', decide, "request.matches ? null : reject('mismatch')", 'null'),
  inCore('redeems an expired code', decide, "if (request.now >= expiresAt) return reject('expired')\n", ''),
  inCore(
    'accepts a retried redemption without comparing verifiers',
    redeem,
    'return isSameText(computeVerifier(toFirstToken(context, attempt, stored), attempt.binding), current.verifier)',
    'return true',
  ),
  inCore(
    'redeems a code again after its family was deleted',
    redeem,
    'keepUntil: reservation.expiresAt + MAX_SKEW_MS',
    'keepUntil: now',
  ),

  // Numbers and clocks.
  inCore(
    'sends a number to the store that is not a safe integer',
    `${CORE}/src/model/numbers.ts`,
    'changed[name] = toInteger(name, member)',
    'changed[name] = member',
  ),
  inCore(
    'purges a one-time key too early when the clock is ahead',
    consumeOnce,
    'Math.ceil(expiresAt) + MAX_SKEW_MS',
    'Math.ceil(expiresAt)',
  ),
  inCore(
    'purges an imported token too early when the clock is ahead',
    legacyToken,
    'const keepUntil = expiresAt + MAX_SKEW_MS',
    'const keepUntil = expiresAt',
  ),
  inCore(
    'accepts an imported token of unknown age despite validAfter',
    legacyToken,
    'start === undefined ? -Infinity : createdAt',
    'createdAt',
  ),

  // The swap.
  inCore(
    'compares with the token instead of the stored verifier in a heal',
    swap,
    'isHealed ? record.current.verifier : computeVerifier(token, binding)',
    'computeVerifier(token, binding)',
  ),
  inCore(
    'treats the swap of another call as its own',
    swap,
    'return isOwnToken(ring, { token, verifier: next.verifier, binding }, record)',
    'return record.current.generation >= next.generation',
  ),
  inCore(
    'does not recognise its own swap after one more rotation',
    exchange,
    " || findRelation(token, record, ring, binding) === 'predecessor'",
    '',
  ),
  inCore('accepts a swap in a revoked family', swap, 'if (record.revocation !== null) return false\n', ''),
  inCore('accepts a renewal that was not written', swap, ' && record.expiresAt > now\n', '\n'),
  inCore('does not store the retry key', swap, 'rotatedAt: now, retryKey }', 'rotatedAt: now, retryKey: null }'),
  inCore(
    'derives another successor for a retry',
    swap,
    'formatToken(deriveSuccessor(token, key, current.nonce)',
    "formatToken(deriveSuccessor(token, key, 'another')",
  ),
  inCore(
    'derives the successor of a retry with the current key',
    swap,
    "const key = findRecordKey(context, current, 'rotate')",
    'const key = context.ring.current',
  ),
  inCore(
    'does not read the record again after a slow hook',
    rotate,
    'isRetry ? await context.store.find(token.familyId) : record',
    'record',
  ),
  inCore('repeats swaps without a limit', rotate, 'const MAX_SWAPS = 3', 'const MAX_SWAPS = 3_000_000'),
  inCore('tries only one swap', rotate, 'const MAX_SWAPS = 3', 'const MAX_SWAPS = 1'),
  inCore(
    'accepts a short retry key',
    derive,
    'const MIN_IDEMPOTENCY_KEY_LENGTH = 22',
    'const MIN_IDEMPOTENCY_KEY_LENGTH = 1',
  ),
  inCore(
    'widens the scope',
    rotate,
    "if (scope === null || !isWithin(scope, record.grant.scope.split(' '))) return 'invalid_scope'",
    "if (scope === null) return 'invalid_scope'",
  ),
  inCore(
    'decides by the time of the decision instead of the arrival',
    rotate,
    'arrivedAt: attempt.arrivedAt,',
    'arrivedAt: context.now(),',
  ),
  inCore('emits a second event for a revocation by another call', revoke, 'if (byThisCall) report(', 'report('),
  inCore(
    'emits no event when the reply of the store is lost',
    revoke,
    '    report(revoked, { unconfirmed: true })\n',
    '',
  ),
  inCore(
    'treats the revocation of another call as its own',
    revoke,
    'record.revocation?.id === id',
    'record.revocation !== null',
  ),
  inCore(
    'moves the idle expiry past the absolute expiry',
    family,
    'Math.min(now + idleMs, absoluteExpiresAt)',
    'now + idleMs',
  ),
  inCore('revokes only the first page of sessions', revoke, 'cursor = page.cursor', 'cursor = null'),

  // A store.
  inApply(
    'swaps without comparing',
    'record?.current.verifier === expect && isAlive(record, now)',
    'record !== null && isAlive(record, now)',
  ),
  inApply(
    'swaps in revoked or expired families',
    'record?.current.verifier === expect && isAlive(record, now)',
    'record?.current.verifier === expect',
  ),
  inApply(
    'overwrites a revocation',
    'record.revocation === null ? { ...record, revocation } : record',
    '{ ...record, revocation }',
  ),
  inMemoryStore(
    'returns the record from before the swap',
    'return record === undefined ? null : put(applyRotation(record, command))',
    'if (record !== undefined) put(applyRotation(record, command))\n      return record ?? null',
  ),
  inMemoryStore('overwrites an existing record in create', 'if (stored !== undefined) return stored\n', ''),
  inApply('deletes records too early', 'revocation === null ? Math.max(expiresAt, keepUntil) : keepUntil', 'expiresAt'),
  inApply('ignores the idle limit', 'expiryAt(now, lifetime)', 'lifetime.absoluteExpiresAt'),

  // The endpoints.
  inHttp(
    'answers an outage with invalid_request',
    'pipeline/define-endpoint.ts',
    'failure instanceof OperationalError ? unavailable() : serverError()',
    'invalidRequest(String(failure))',
  ),
  inHttp('accepts a cached access token after it has expired', VERIFICATION_CACHE, 'now >= entry.expiresAt || ', ''),
  inHttp(
    'accepts a cached access token before it is valid',
    VERIFICATION_CACHE,
    'now >= entry.notBefore ? entry.claims : null',
    'entry.claims',
  ),
  inHttp(
    'accepts a cached access token whose key was removed',
    VERIFICATION_CACHE,
    ' || !Object.is(entry.version, version)',
    '',
  ),
  inHttp(
    'gives the result of an old key the version of the new one',
    VERIFICATION_CACHE,
    'keep(settled, key, version, now)',
    'keep(settled, key, verifier.cacheVersion?.(), now)',
  ),
  inHttp(
    'finds cached access tokens by a part of their hash',
    VERIFICATION_CACHE,
    "hash('sha256', accessToken, 'binary')",
    "hash('sha256', accessToken, 'binary').slice(0, 1)",
  ),
  inHttp(
    'finds cached access tokens without their signature',
    VERIFICATION_CACHE,
    "hash('sha256', accessToken, 'binary')",
    "hash('sha256', accessToken.split('.').slice(0, 2).join('.'), 'binary')",
  ),
  inHttp('caches every rejection of an access token', VERIFICATION_CACHE, 'if (result.isFinal)', 'if (true)'),
  inHttp(
    'keeps rejected access tokens beside the accepted ones without a limit',
    VERIFICATION_CACHE,
    'if (rejected.size > MAX_REJECTIONS) removeFirst(rejected)',
    'if (rejected.size > MAX_REJECTIONS) removeFirst(accepted)',
  ),
  inHttp('lets a request change the cached claims', VERIFICATION_CACHE, 'return Object.freeze(value)', 'return value'),
  inHttp(
    'shares cached access tokens between all verifiers',
    VERIFICATION_CACHE,
    'caches.set(verifier, bySize)',
    'caches.set(verifier, bySize)\n  caches.get = () => bySize',
  ),
  inHttp(
    'calls the rejection of an unknown key final',
    'access-tokens/jwt-verifier.ts',
    'const INVALID = { claims: null, isFinal: false }',
    'const INVALID = { claims: null, isFinal: true }',
  ),
  inHttp(
    'accepts another spelling of a signature',
    'crypto/compact-jwt.ts',
    "return bytes.toString('base64url') === part ? bytes : null",
    'return bytes',
  ),
  inHttp(
    'serves a forged request',
    'cookies/session-cookie.ts',
    'if (forged !== null) return { ok: false, response: forged }\n',
    '',
  ),
  inHttp(
    'keeps the session of the earlier cookie after a login',
    'endpoints/login.ts',
    "for (const token of refreshTokenCookie.read(request, transport))\n        await tokens.revoke({ ...token, clientId, confirmation, reason: 'replaced' })",
    'refreshTokenCookie.read(request, transport)',
  ),
  inHttp(
    'does not expire the other variant of the cookie',
    'cookies/refresh-token-cookie.ts',
    "...others.map((variant) => write('', 0, variant)), write(value, maxAge, current)]",
    '...others.slice(1).map((variant) => write(value, 0, variant)), write(value, maxAge, current)]',
  ),
  inHttp(
    'uses the first of two cookies even if its session has ended',
    'cookies/session-cookie.ts',
    'if (others.length === 0) return first',
    'if (others.length >= 0) return first',
  ),
  inHttp(
    'reads a header from rawHeaders that middleware removed',
    'adapters/node.ts',
    'toPlainHeaders(options.headers ?? requestHeaders, rawHeaders)',
    'toPlainHeaders({ ...Object.fromEntries(parseRawHeaders(rawHeaders ?? [])), ...requestHeaders }, rawHeaders)',
  ),
  inCore(
    'revokes the family of another client at sign-out',
    revoke,
    "if (clientId !== undefined && record.grant.clientId !== clientId) return { ok: false, reason: 'mismatch' }\n",
    '',
  ),
  inCore(
    'revokes a key-bound family without its key at sign-out',
    revoke,
    'bound !== null && !isSameConfirmation(bound, confirmation)',
    'bound !== null && confirmation === undefined',
  ),
  inHttp(
    'skips the check of the client at logout',
    'endpoints/logout.ts',
    'clientId: refreshTokenCookie.clientId,',
    '',
  ),
  inHttp(
    'does not apply validAfter of a client to sessions',
    POLICY,
    'return validAfter === undefined || !',
    'return true || !',
  ),
  inHttp(
    'lets any client list and revoke sessions',
    POLICY,
    'return own.has(clientId) || (await find(clientId))?.firstParty === true',
    'return true',
  ),
  inHttp(
    'issues tokens to a client that has not authenticated as required',
    POLICY,
    "if (!confidential && isConfidential(client)) return reject(invalidClient('body'))\n",
    '',
  ),
  inHttp(
    'issues tokens to a client that has not sent the required proof',
    POLICY,
    'if (proven.confirmation === null && client.dpopBoundAccessTokens)',
    'if (false)',
  ),
  inHttp(
    'accepts a code of another issuer',
    'codes/authorization-codes.ts',
    'return iss === issuer ? opened : null',
    'return typeof iss === typeof issuer ? opened : null',
  ),
  inHttp(
    'accepts a cross-site request without the header',
    'pipeline/csrf.ts',
    "if (soleHeader(request, 'x-baton') !== '1') return rejection('Send the header X-Baton: 1, once.')\n",
    '',
  ),
  inHttp(
    'ignores the Idempotency-Key',
    'grants/exchange.ts',
    "idempotencyKey: soleHeader(request, 'idempotency-key'),",
    'idempotencyKey: null,',
  ),
  inHttp('redeems a code without a verifier', GRANT, ' && isVerifierFor(verifier, opened.codeChallenge)', ''),
  inHttp(
    'redeems a key-bound code without a proof',
    GRANT,
    'return code.confirmation === null || isSameConfirmation(code.confirmation, admission.confirmation)',
    'return true',
  ),
  inHttp(
    'does not bind the family to the key of its code',
    GRANT,
    'confirmation: confidential ? null : confirmation',
    'confirmation: null',
  ),
  inHttp(
    'ignores the Idempotency-Key of a code',
    GRANT,
    "idempotencyKey: soleHeader(exchange.request, 'idempotency-key'),",
    'idempotencyKey: null,',
  ),
  inHttp(
    'accepts a proof more than once',
    'proof-of-possession/dpop/proof-checker.ts',
    'if (oneTimeKeys !== undefined && !(await oneTimeKeys.consumeOnce(oneTimeKey)))',
    'if (oneTimeKeys !== undefined && (await oneTimeKeys.consumeOnce(oneTimeKey), false))',
  ),
  inHttp('accepts a proof of any age', 'proof-of-possession/dpop/proof-checker.ts', 'now < until && ', ''),
  inHttp(
    'accepts a nonce of any age',
    'proof-of-possession/dpop/nonces.ts',
    'for (const candidate of [slot, slot - 1, slot + 1]) {',
    'for (let candidate = slot + 1; candidate > slot - 100; candidate -= 1) {',
  ),
  inHttp(
    'accepts a nonce only within its own time slot',
    'proof-of-possession/dpop/nonces.ts',
    'for (const candidate of [slot, slot - 1, slot + 1]) {',
    'for (const candidate of [slot]) {',
  ),

  // The client.
  inClient(
    'stores a late response over a newer session',
    'session/refresh-decisions.ts',
    'const isUnchanged = session.generationId === base.generationId',
    "const isUnchanged = session.state !== 'ended'",
  ),
  inClient(
    'stores a late response over a sign-out',
    'session/refresh-decisions.ts',
    'const isUnchanged = session.generationId === base.generationId',
    "const isUnchanged = session.state === 'ended' || session.generationId === base.generationId",
  ),
  inClient(
    'sends another Idempotency-Key with every try',
    'session/refresh.ts',
    'endpoints.refresh({ refreshToken, sid }, key)',
    'endpoints.refresh({ refreshToken, sid }, randomText(environment))',
  ),
  inClient(
    'signs the user out when no response arrives',
    'protocol/transport.ts',
    "new SessionError('unavailable', 'no response')",
    "new SessionError('signed_out', 'rejected')",
  ),
  inClient(
    'signs the user out during an outage',
    'protocol/token-response.ts',
    '|| LATER.test(inShort)) return later(inShort)',
    "|| LATER.test(inShort)) return new SessionError('signed_out', 'rejected')",
  ),
  inClient(
    'never acquires the lock',
    'session/with-lock.ts',
    'await storage.lock(signal)',
    'await Promise.resolve(() => undefined)',
  ),
  inClient('never releases the lock', 'session/with-lock.ts', 'release?.()', 'void release'),
  inClient(
    'keeps the old refresh token',
    'session/record.ts',
    'refreshToken: grant.refreshToken ?? refreshToken,',
    'refreshToken: refreshToken ?? grant.refreshToken,',
  ),
  inClient(
    'does not revoke a refresh token that arrives too late',
    'session/refresh-decisions.ts',
    ': { ...record, revocations: [...revocations, { refreshToken, sid: null }] }',
    ': record',
  ),
  inClient(
    'stores no tombstone at sign-out',
    'session/session.ts',
    "session: next ?? {\n          state: 'ended',",
    "session: next ?? record?.session ?? {\n          state: 'ended',",
  ),
  inClient(
    'stores a late response over the session of another user',
    'session/refresh-decisions.ts',
    'const isUnchanged = session.generationId === base.generationId',
    "const isUnchanged = session.generationId === base.generationId || (session.state === 'live' && session.sid !== sid)",
  ),
  inClient(
    'returns tokens of another user to a page',
    'session/token-state.ts',
    "snapshot.reason ?? (sid && sid !== snapshot.sid ? 'replaced' : null)",
    'snapshot.reason',
  ),
  inClient(
    'does not revoke the replaced session at the server',
    'session/session.ts',
    'const isKept = sid ? refreshToken === next?.refreshToken :',
    'const isKept = sid ? refreshToken === next?.refreshToken || next !== null :',
  ),
  inClient(
    'revokes any session that the cookie belongs to at sign-out',
    'cookie.ts',
    'revoke: ({ sid }) => createCall(logout, sid)',
    'revoke: () => createCall(logout, null)',
  ),
  inClient(
    'revokes the next session with a sign-out that the server missed',
    'session/session.ts',
    'next && endpoints.isCookie ? [] : untold',
    'untold',
  ),
  inClient(
    'reports a sign-out as revoked before the server has confirmed it',
    'session/session.ts',
    'return { revoked: await flush() }',
    'return { revoked: (await flush()) || true }',
  ),
  inClient(
    'does not let a sign-in wait for a running refresh',
    'cookie.ts',
    'connect: connectWith(createExclusiveRunner),',
    'connect: connectWith(() => (send) => send(new AbortController().signal)),',
  ),
  inClient(
    'sends a sign-in request while another one is in flight',
    'session/exclusive-requests.ts',
    "if (lock !== 'held' && (await isBusy())) return null\n",
    '',
  ),
]
