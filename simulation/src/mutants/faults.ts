/** One fault, as somebody could have written it. */
export interface Fault {
  readonly name: string
  readonly file: string
  /** Stands exactly once in the file. */
  readonly find: string
  readonly replace: string
  /** The tests of the code around it. */
  readonly tests: readonly string[]
}

const CORE = 'packages/core'
const decide = `${CORE}/src/decide.ts`
const rotate = `${CORE}/src/rotate.ts`
const token = `${CORE}/src/token.ts`
const family = `${CORE}/src/family.ts`
const revoke = `${CORE}/src/revoke.ts`
const redeem = `${CORE}/src/redeem.ts`
const foreign = `${CORE}/src/foreign.ts`
const once = `${CORE}/src/once.ts`
const GRANT = 'grants/authorization-code.ts'
const POLICY = 'clients/client-policy.ts'
const memory = 'packages/store-memory/src/memory-store.ts'

const coreTests = [
  `${CORE}/test/decide.test.ts`,
  `${CORE}/test/token.test.ts`,
  `${CORE}/test/rotation.test.ts`,
  `${CORE}/test/families.test.ts`,
  `${CORE}/test/properties.test.ts`,
  `${CORE}/test/foreign.test.ts`,
  `${CORE}/test/once.test.ts`,
  `${CORE}/test/redeem.test.ts`,
  `${CORE}/test/reported-ends.test.ts`,
  `${CORE}/test/numbers.test.ts`,
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

/** Each rule of the decision table, each part of the token, each step of the swap, and what endpoints must never do. */
export const faults: readonly Fault[] = [
  // The decision table.
  inCore('a superseded subject goes on', decide, "if (superseded) return refuse('superseded')\n", ''),
  inCore(
    'another client or key is let through',
    decide,
    "if (!facts.sameClient || !facts.sameKey) return refuse('mismatch')",
    '',
  ),
  inCore('another key is let through', decide, '!facts.sameClient || !facts.sameKey', '!facts.sameClient'),
  inCore(
    'another client ends the family',
    decide,
    "if (!facts.sameClient || !facts.sameKey) return refuse('mismatch')",
    "if (!facts.sameClient || !facts.sameKey) return end('reuse', 'reuse')",
  ),
  inCore(
    'a revoked family goes on',
    decide,
    "if (facts.revoked) return refuse('revoked')\n  if (now >= facts.expiresAt)",
    'if (now >= facts.expiresAt)',
  ),
  inCore('an expired family goes on', decide, "if (now >= facts.expiresAt) return refuse('expired')\n", ''),
  inCore('a family lives one instant too long', decide, 'if (now >= facts.expiresAt)', 'if (now > facts.expiresAt)'),
  inCore(
    'a declined request is not declined',
    decide,
    "if (objection !== null && relation !== 'far_ahead' && relation !== 'stranger') return decline(objection)\n",
    '',
  ),
  inCore(
    'a reuse in a bad request is only declined',
    decide,
    " && relation !== 'far_ahead' && relation !== 'stranger'",
    '',
  ),
  inCore(
    'every predecessor is a retry',
    decide,
    "return isRetry(facts, arrivedAt, rules) ? mint('retried') : end('reuse', 'reuse')",
    "return mint('retried')",
  ),
  inCore(
    'no predecessor is a retry',
    decide,
    "return isRetry(facts, arrivedAt, rules) ? mint('retried') : end('reuse', 'reuse')",
    "return end('reuse', 'reuse')",
  ),
  inCore(
    'a missing key ends the family',
    decide,
    "return isRetry(facts, arrivedAt, rules) ? { kind: 'fault' } : end('reuse', 'reuse')",
    "return end('reuse', 'reuse')",
  ),
  inCore('nothing is healed', decide, "return mint('healed')", "return end('reuse', 'reuse')"),
  inCore('far ahead is healed as well', decide, "return end('lost', 'rollback')", "return mint('healed')"),
  inCore(
    'a stranger is refused and the family lives',
    decide,
    "// A grandparent inside the grace window is reuse as well: its successor has been used.\n      return end('reuse', 'reuse')",
    "return refuse('unknown')",
  ),
  inCore(
    'a stranger is taken for a retry',
    decide,
    "// A grandparent inside the grace window is reuse as well: its successor has been used.\n      return end('reuse', 'reuse')",
    "return mint('retried')",
  ),
  inCore('grace has no end', decide, ': graceMs\n', ': graceMs && Infinity\n'),
  inCore('the window of an attempt has no end', decide, 'Math.max(graceMs, sameAttemptMs)', 'Infinity'),
  inCore('grace is an instant too long', decide, 'arrivedAt < rotatedAt', 'arrivedAt <= rotatedAt'),
  inCore('without grace the same instant is still a retry', decide, 'windowMs > 0 && arrivedAt <', 'arrivedAt <='),
  inCore(
    'the attempt does not count',
    decide,
    "if (attempt === 'same') return Math.max(graceMs, sameAttemptMs)\n",
    "if (attempt === 'same') return graceMs\n",
  ),
  inCore(
    'another attempt is accepted where only the same one is',
    decide,
    "grace === 'same-attempt' && attempt !== 'unknown' ? 0 : graceMs",
    'graceMs',
  ),
  inCore(
    'a request without a key is accepted where only the same attempt is',
    decide,
    "attempt !== 'unknown' ? 0",
    "attempt === 'other' ? 0",
  ),
  inCore(
    'requests without keys have no grace where only the same attempt is accepted',
    decide,
    "grace === 'same-attempt' && attempt !== 'unknown' ? 0",
    "grace === 'same-attempt' ? 0",
  ),
  inCore(
    'a bound token needs no proof at the door',
    decide,
    "if (token.bound && request.confirmation === null) return refuse('mismatch')\n",
    '',
  ),
  inCore(
    'validAfter of a client counts for nothing',
    decide,
    'token.createdAtSeconds * 1000 < request.validAfter',
    'false',
  ),
  inCore(
    'the wrong cookie is refreshed',
    decide,
    'request.familyId !== undefined && request.familyId !== token.familyId',
    'false',
  ),

  // The token.
  inCore(
    'the tag is not looked at',
    token,
    "if (!timingSafeEqual(tagOf(bytes.subarray(0, TAG_AT), key), bytes.subarray(TAG_AT))) return { kind: 'malformed' }\n",
    '',
  ),
  inCore('a second spelling passes', token, 'if (!ONE_ALPHABET.test(body)) return null\n', ''),
  inCore('unknown flags pass', token, ' && (head & 0x0f & ~BOUND_FLAG) === 0', ''),
  inCore(
    'a successor does not depend on the nonce',
    token,
    'generation, nonce, token.secret]',
    'generation, token.secret]',
  ),
  inCore(
    'a successor does not depend on its predecessor',
    token,
    'generation, nonce, token.secret]',
    'generation, nonce]',
  ),
  inCore(
    'a token forgets its predecessor',
    token,
    'previousProof: token.proof }',
    'previousProof: token.previousProof }',
  ),
  inCore(
    'a heal does not check the predecessor',
    token,
    "return sameText(predecessor, current.verifier) ? 'one_ahead' : 'stranger'",
    "return 'one_ahead'",
  ),
  inCore(
    'a retry does not check the successor',
    token,
    "return sameText(verifierOf(successor, binding), current.verifier) ? 'predecessor' : 'stranger'",
    "return 'predecessor'",
  ),
  inCore(
    'the current token is not checked',
    token,
    "return sameText(verifierOf(token, binding), current.verifier) ? 'current' : 'stranger'",
    "return 'current'",
  ),
  inCore('the verifier does not bind the key', token, 'confirmationText(confirmation), proof]', 'proof]'),
  inCore(
    'the verifier does not bind the client',
    token,
    'generation, clientId, createdAtSeconds',
    'generation, createdAtSeconds',
  ),
  inCore(
    'the verifier does not bind the birth',
    token,
    'createdAtSeconds, confirmationText(confirmation)',
    'confirmationText(confirmation)',
  ),
  inCore(
    'an attempt is the same in every generation',
    token,
    '[token.familyId, token.generation, idempotencyKey]',
    '[token.familyId, idempotencyKey]',
  ),

  // Redemption of a code.
  inCore(
    'a revoked code is redeemed',
    decide,
    "if (facts.revoked) return refuse('revoked')\n  if (facts.isOurs)",
    'if (facts.isOurs)',
  ),
  inCore(
    'a code is good for whoever comes second',
    decide,
    'if (facts.sameAttempt) return now >= facts.expiresAt',
    'if (now > 0) return now >= facts.expiresAt',
  ),
  inCore(
    'no second try redeems a code',
    decide,
    "if (facts.sameAttempt) return now >= facts.expiresAt ? refuse('expired') : { kind: 'mint', outcome: 'retried' }\n",
    '',
  ),
  inCore('a code is redeemed without what it takes', decide, "request.matches ? null : refuse('mismatch')", 'null'),
  inCore('a code is good for ever', decide, "if (request.now >= expiresAt) return refuse('expired')\n", ''),
  inCore(
    'a second try is not held against what stands',
    redeem,
    'return sameText(verifierOf(tokenIn(engine, attempt, stored), attempt.binding), current.verifier)',
    'return true',
  ),
  inCore(
    'a code can come again once its family is deleted',
    redeem,
    'keepUntil: reservation.expiresAt + MAX_SKEW_MS',
    'keepUntil: now',
  ),

  // Numbers and clocks.
  inCore(
    'a number that no column holds reaches the store',
    `${CORE}/src/numbers.ts`,
    'changed[name] = toInteger(name, member)',
    'changed[name] = member',
  ),
  inCore(
    'a purge by a clock that is ahead forgets a one-time key',
    once,
    'Math.ceil(expiresAt) + MAX_SKEW_MS',
    'Math.ceil(expiresAt)',
  ),
  inCore(
    'a purge by a clock that is ahead forgets an imported token',
    foreign,
    'const keepUntil = expiresAt + MAX_SKEW_MS',
    'const keepUntil = expiresAt',
  ),
  inCore(
    'an imported token of unknown age meets every validAfter',
    foreign,
    'grant.createdAt === undefined ? -Infinity : record.grant.createdAt',
    'record.grant.createdAt',
  ),

  // The swap.
  inCore(
    'a heal compares with the token',
    rotate,
    "outcome === 'healed' && record !== null ? record.current.verifier : verifierOf(token, binding)",
    'verifierOf(token, binding)',
  ),
  inCore(
    'a call takes any swap for its own',
    rotate,
    "return verifier === next.verifier || relationOf(successor, record, ring, binding) === 'predecessor'",
    'return record.current.generation >= next.generation',
  ),
  inCore(
    'a call does not know its own swap one generation on',
    rotate,
    " || relationOf(successor, record, ring, binding) === 'predecessor'",
    '',
  ),
  inCore('a swap in a revoked family counts', rotate, 'if (record.revocation !== null) return false\n', ''),
  inCore('a renewal counts that was not made', rotate, ' && record.expiresAt > now\n', '\n'),
  inCore(
    'the retry key is not stored',
    rotate,
    'rotatedAt: now,\n    retryKey,',
    'rotatedAt: now,\n    retryKey: null,',
  ),
  inCore(
    'a retry is given a successor of its own',
    rotate,
    'formatToken(successorOf(token, key, current.nonce)',
    "formatToken(successorOf(token, key, 'another')",
  ),
  inCore(
    'a retry is derived under the current key',
    rotate,
    "const key = engine.ring.find(current.keyId)\n  if (key === undefined) throw fault(engine, 'record_key_missing'",
    "const key = engine.ring.current as typeof engine.ring.current | undefined\n  if (key === undefined) throw fault(engine, 'record_key_missing'",
  ),
  inCore(
    'the record is not read again after slow work',
    rotate,
    "if (decision.outcome === 'retried') record = await store.find(familyId)\n",
    '',
  ),
  inCore('swaps go on for ever', rotate, 'const MOST_SWAPS = 3', 'const MOST_SWAPS = 3_000_000'),
  inCore('one swap is all', rotate, 'const MOST_SWAPS = 3', 'const MOST_SWAPS = 1'),
  inCore(
    'a short retry key counts',
    token,
    'const LEAST_ATTEMPT_KEY_LENGTH = 22',
    'const LEAST_ATTEMPT_KEY_LENGTH = 1',
  ),
  inCore(
    'scope may grow',
    rotate,
    "if (scope === null || !isWithin(scope, record.grant.scope.split(' '))) return 'invalid_scope'",
    "if (scope === null) return 'invalid_scope'",
  ),
  inCore('the arrival is the judging', rotate, 'arrivedAt: attempt.arrivedAt,', 'arrivedAt: engine.now(),'),
  inCore('an end that somebody else made is reported again', revoke, 'if (byThisCall) report(', 'report('),
  inCore(
    'an end goes unreported where the reply of the store is lost',
    revoke,
    'if (seen.revocation === null) report(ended, { unconfirmed: true })\n',
    '',
  ),
  inCore(
    'a call takes any revocation for its own',
    revoke,
    'record.revocation?.id === id',
    'record.revocation !== null',
  ),
  inCore('the idle end passes the absolute one', family, 'Math.min(now + idleMs, absoluteExpiresAt)', 'now + idleMs'),
  inCore('all but the last page are revoked', revoke, 'cursor = page.cursor', 'cursor = null'),

  // A store.
  inApply(
    'the store swaps without comparing',
    'record?.current.verifier === expect && isAlive(record, now)',
    'record !== null && isAlive(record, now)',
  ),
  inApply(
    'the store swaps in dead families',
    'record?.current.verifier === expect && isAlive(record, now)',
    'record?.current.verifier === expect',
  ),
  inApply(
    'the store revokes anew',
    'record.revocation === null ? { ...record, revocation } : record',
    '{ ...record, revocation }',
  ),
  inMemoryStore(
    'the store returns the record as it was',
    'return record === undefined ? null : put(applyRotation(record, command))',
    'if (record !== undefined) put(applyRotation(record, command))\n      return record ?? null',
  ),
  inMemoryStore('the store creates twice', 'if (stored !== undefined) return stored\n', ''),
  inApply(
    'the store deletes too early',
    'revocation === null ? Math.max(expiresAt, keepUntil) : keepUntil',
    'expiresAt',
  ),
  inApply('the store ignores the idle limit', 'expiryAt(now, lifetime)', 'lifetime.absoluteExpiresAt'),

  // The endpoints.
  inHttp(
    'an outage is invalid_grant',
    'endpoint.ts',
    'failure instanceof OperationalError ? unavailable() : serverError()',
    'invalidRequest(String(failure))',
  ),
  inHttp(
    'a forged request is served',
    'session-cookie.ts',
    'if (forged !== null) return { ok: false, response: forged }\n',
    '',
  ),
  inHttp(
    'a sign-in leaves the session that the cookie carried',
    'endpoints/login.ts',
    "for (const carried of carrier.read(request, transport))\n        await tokens.revoke({ ...carried, clientId, confirmation, reason: 'replaced' })",
    'carrier.read(request, transport)',
  ),
  inHttp(
    'the other variant of the cookie is not expired',
    'carrier.ts',
    "...others.map((variant) => write('', 0, variant)), write(value, maxAge, current)]",
    '...others.slice(1).map((variant) => write(value, 0, variant)), write(value, maxAge, current)]',
  ),
  inHttp(
    'of two cookies the first is used, alive or not',
    'session-cookie.ts',
    'if (others.length === 0) return first',
    'if (others.length >= 0) return first',
  ),
  inHttp(
    'a header that middleware removed is read from rawHeaders',
    'node.ts',
    'headersOf(options.headers ?? ownHeaders, rawHeaders)',
    'headersOf({ ...Object.fromEntries(occurrencesIn(rawHeaders ?? [])), ...ownHeaders }, rawHeaders)',
  ),
  inCore(
    'a sign-out revokes the family of another client',
    revoke,
    "if (clientId !== undefined && seen.grant.clientId !== clientId) return { ok: false, reason: 'mismatch' }\n",
    '',
  ),
  inCore(
    'a sign-out revokes a key-bound family without its key',
    revoke,
    'bound !== null && !sameConfirmation(bound, confirmation)',
    'bound !== null && confirmation === undefined',
  ),
  inHttp(
    'logout does not check the client',
    'endpoints/logout.ts',
    'const authority = { clientId: carrier.clientId, confirmation:',
    'const authority = { confirmation:',
  ),
  inHttp(
    'validAfter of a client reaches no session',
    POLICY,
    'return validAfter === undefined || !',
    'return true || !',
  ),
  inHttp(
    'any client lists and revokes sessions',
    POLICY,
    'return own.has(clientId) || (await find(clientId))?.firstParty === true',
    'return true',
  ),
  inHttp(
    'tokens are issued to a client that must authenticate and has not',
    POLICY,
    "if (!confidential && isConfidential(client)) return reject(invalidClient('body'))\n",
    '',
  ),
  inHttp(
    'tokens are issued to a client that must send a proof and has not',
    POLICY,
    'if (proven.confirmation === null && client.dpopBoundAccessTokens)',
    'if (false)',
  ),
  inHttp(
    'a code of another issuer works',
    'authorization-code.ts',
    'return iss === issuer ? opened : null',
    'return typeof iss === typeof issuer ? opened : null',
  ),
  inHttp(
    'a page elsewhere needs no header',
    'csrf.ts',
    "if (soleHeader(request, 'x-baton') !== '1') return denied('Send the header X-Baton: 1, once.')\n",
    '',
  ),
  inHttp(
    'the Idempotency-Key is dropped',
    'refresh.ts',
    "idempotencyKey: soleHeader(request, 'idempotency-key'),",
    'idempotencyKey: null,',
  ),
  inHttp('a code needs no verifier', GRANT, ' && isVerifierFor(verifier, opened.codeChallenge)', ''),
  inHttp(
    'a code that is bound to a key needs no proof',
    GRANT,
    'return code.confirmation === null || sameConfirmation(code.confirmation, admission.confirmation)',
    'return true',
  ),
  inHttp(
    'a family is not bound to the key of its code',
    GRANT,
    'confirmation: confidential ? null : confirmation',
    'confirmation: null',
  ),
  inHttp(
    'a code and its second try have nothing in common',
    GRANT,
    "idempotencyKey: soleHeader(exchange.request, 'idempotency-key'),",
    'idempotencyKey: null,',
  ),
  inHttp(
    'a proof works as often as it comes',
    'dpop/dpop.ts',
    'if (memory !== undefined && !(await memory.once(claim)))',
    'if (memory !== undefined && (await memory.once(claim), false))',
  ),
  inHttp('a proof has no age', 'dpop/dpop.ts', 'now < until && ', ''),
  inHttp(
    'a nonce has no age',
    'dpop/nonces.ts',
    'for (const candidate of [slot, slot - 1, slot + 1]) {',
    'for (let candidate = slot + 1; candidate > slot - 100; candidate -= 1) {',
  ),
  inHttp(
    'a nonce is good for its own slot alone',
    'dpop/nonces.ts',
    'for (const candidate of [slot, slot - 1, slot + 1]) {',
    'for (const candidate of [slot]) {',
  ),

  // The client.
  inClient(
    'an answer is stored over what has come meanwhile, and a late refusal ends it',
    'session/refresh-decisions.ts',
    'const isStill = session.attempt === base.attempt',
    "const isStill = session.state !== 'ended'",
  ),
  inClient(
    'an answer undoes a sign-out',
    'session/refresh-decisions.ts',
    'const isStill = session.attempt === base.attempt',
    "const isStill = session.state === 'ended' || session.attempt === base.attempt",
  ),
  inClient(
    'every try is an attempt of its own',
    'session/refresh.ts',
    'endpoints.refresh({ refreshToken, sid }, key)',
    'endpoints.refresh({ refreshToken, sid }, randomText(environment))',
  ),
  inClient(
    'an answer that never came is a refusal',
    'protocol/transport.ts',
    "new SessionError('unavailable', 'no answer')",
    "new SessionError('signed_out', 'refused')",
  ),
  inClient(
    'an outage is a refusal',
    'protocol/token-response.ts',
    '|| LATER.test(inShort)) return later(inShort)',
    "|| LATER.test(inShort)) return new SessionError('signed_out', 'refused')",
  ),
  inClient(
    'nobody takes the lock',
    'session/with-lock.ts',
    'await storage.lock(signal)',
    'await Promise.resolve(() => undefined)',
  ),
  inClient('the lock is kept', 'session/with-lock.ts', 'release?.()', 'void release'),
  inClient(
    'the old refresh token is kept',
    'session/record.ts',
    'refreshToken: grant.refreshToken ?? refreshToken,',
    'refreshToken: refreshToken ?? grant.refreshToken,',
  ),
  inClient(
    'a refresh token that came too late is forgotten',
    'session/refresh-decisions.ts',
    ': { ...record, revocations: [...revocations, { refreshToken, sid: null }] }',
    ': record',
  ),
  inClient(
    'a sign-out leaves no tombstone',
    'session/session.ts',
    "session: next ?? {\n          state: 'ended',",
    "session: next ?? record?.session ?? {\n          state: 'ended',",
  ),
  inClient(
    'a late answer is stored over the session of somebody else',
    'session/refresh-decisions.ts',
    'const isStill = session.attempt === base.attempt',
    "const isStill = session.attempt === base.attempt || (session.state === 'live' && session.sid !== sid)",
  ),
  inClient(
    'a page speaks for whoever is signed in by now',
    'session/token-state.ts',
    "snapshot.reason ?? (sid && sid !== snapshot.sid ? 'replaced' : null)",
    'snapshot.reason',
  ),
  inClient(
    'whoever is replaced stays signed in at the server',
    'session/session.ts',
    'const isKept = sid ? refreshToken === next?.refreshToken :',
    'const isKept = sid ? refreshToken === next?.refreshToken || next !== null :',
  ),
  inClient(
    'a sign-out ends whatever session the cookie is of',
    'cookie.ts',
    'revoke: ({ sid }) => write(logout, sid)',
    'revoke: () => write(logout, null)',
  ),
  inClient(
    'a sign-out that was not heard ends the next session',
    'session/session.ts',
    'next && endpoints.isCookie ? [] : untold',
    'untold',
  ),
  inClient(
    'a sign-out is claimed before the server has heard of it',
    'session/session.ts',
    'return { revoked: await flush() }',
    'return { revoked: (await flush()) || true }',
  ),
  inClient(
    'a sign-in waits for no refresh',
    'cookie.ts',
    'connect: connectWith(oneAtATime),',
    'connect: connectWith(() => (send) => send(new AbortController().signal)),',
  ),
  inClient(
    'a sign-in request is sent while another one is in flight',
    'session/exclusive-requests.ts',
    "if (lock !== 'held' && (await isBusy())) return null\n",
    '',
  ),
]
