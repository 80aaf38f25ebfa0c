import { type Confirmation, type FamilyRecord, type RefreshEvent, isSameConfirmation } from '@baton/core'
import { createLineage, type Lineage, type Link } from '../history/lineage.js'
import { requireSource, extendChain, type ChainPosition, findPosition } from '../history/chain-position.js'
import { Violation } from '../history/violation.js'
import type { Plan } from './plan.js'
import { createProofJudge, PROOF_ERRORS } from './proof-judge.js'
import type { ResponseSummary, FamilyHistory, RequestTrace } from './trace.js'

/** An issued authorization code. */
interface Code {
  readonly expiresAt: number
  /** Only a proof of this key redeems the code. */
  readonly confirmation: Confirmation | null
}

export interface Counts {
  rotations: number
  retries: number
  heals: number
  imports: number
  codes: number
  proofs: number
  reuses: number
  losses: number
  faults: number
  requests: number
}

export interface Recorder {
  readonly lineage: Lineage
  readonly counts: Counts
  readonly families: ReadonlyMap<string, FamilyHistory>
  startTrace(
    given: Pick<RequestTrace, 'purpose' | 'text' | 'key' | 'proof' | 'impersonates' | 'arrivedAt' | 'isOrphaned'>,
  ): RequestTrace
  /** Returns the family of a token or a code; undefined if there is none. */
  familyOf(text: string): FamilyHistory | undefined
  /** Records a legacy token, from which a family may be created. */
  noteLegacyToken(text: string): void
  noteCode(text: string, code: Code): void
  created(trace: RequestTrace | undefined, record: FamilyRecord, at: number): void
  /** The store has processed the family for this request. It has written if `after` is another record. */
  storeAccessed(
    trace: RequestTrace | undefined,
    seen: { before: FamilyRecord; after: FamilyRecord; madeAt: number; at: number; isSwap: boolean },
  ): void
  revoked(trace: RequestTrace | undefined, seen: { before: FamilyRecord; after: FamilyRecord }): void
  deleted(record: FamilyRecord, now: number): void
  /** Saves the state of a family. The returned function restores it after the store has lost later writes. */
  checkpoint(id: string): () => void
  eventEmitted(trace: RequestTrace | undefined, event: RefreshEvent): void
  /** Judges the response. Throws a `Violation`. */
  responseSent(trace: RequestTrace, response: ResponseSummary): void
  /** Returns true if every revocation was reported, whether or not the reply of the store arrived. */
  isAllReported(): boolean
  /** The first violation. The code under test may have treated it as an error of its store. */
  readonly violation: () => Violation | null
  /** All events as lines, for the digest and for printing. */
  readonly lines: readonly string[]
  note(at: number, line: string): void
}

/** The maximum clock offset of a process. */
const SKEW_MS = 1000

export const NO_COUNTS: Counts = {
  rotations: 0,
  retries: 0,
  heals: 0,
  imports: 0,
  codes: 0,
  proofs: 0,
  reuses: 0,
  losses: 0,
  faults: 0,
  requests: 0,
}

export function createRecorder(plan: Plan): Recorder {
  const lineage = createLineage()
  const proofs = createProofJudge(plan)
  const codes = new Map<string, Code>()
  const families = new Map<string, FamilyHistory>()
  const familyIds = new Map<string, string>()
  const lines: string[] = []
  let traceCount = 0
  let violation: Violation | null = null
  const graceMs = plan.graceSeconds * 1000
  const counts = { ...NO_COUNTS }

  /** Keeps the violation that a check throws, because the code under test may catch it. */
  function recordViolations<Given extends unknown[]>(judge: (...given: Given) => void): (...given: Given) => void {
    return (...given) => {
      try {
        judge(...given)
      } catch (error) {
        if (error instanceof Violation) violation ??= error
        throw error
      }
    }
  }

  const familyOf = (text: string) => families.get(familyIds.get(text) ?? '')
  const countLosses = (text: string | null) => (text === null ? 0 : (familyOf(text)?.losses ?? 0))

  function storeAccessed(
    trace: RequestTrace | undefined,
    { before, after, madeAt, at, isSwap }: Parameters<Recorder['storeAccessed']>[1],
  ): void {
    const family = families.get(before.id)
    if (family === undefined) throw new Violation('I4', 'a family exists that no request has created')
    if (trace?.text == null || familyOf(trace.text) !== family) return
    const { text } = trace
    const position = trace.purpose === 'code' ? findCodePosition(family) : findPosition(family.chain, lineage, text)
    trace.observed = { at, position, revoked: before.revocation !== null, expiresAt: before.expiresAt }
    if (isSwap) trace.swaps += 1
    // Writes that the store has lost do not count.
    if (!family.chain.some(({ verifier }) => verifier === trace.writtenVerifier)) trace.writtenVerifier = null
    if (after === before) return

    if (trace.impersonates) throw new Violation('I11', 'another client changed the family')
    proofs.assertProven(trace, before)
    if (before.revocation !== null) throw new Violation('I5', 'a revoked family was changed')
    if (after.expiresAt > after.lifetime.absoluteExpiresAt)
      throw new Violation('I10', 'the idle expiry is later than the absolute expiry')
    if (madeAt >= before.expiresAt) throw new Violation('I10', 'an expired family was rotated')
    if (position.kind !== 'current' && position.kind !== 'ahead')
      throw new Violation(
        'I1',
        `a token in position "${position.kind}" was exchanged, which creates a second successor`,
      )
    const link: Link = { verifier: after.current.verifier, presented: text, madeAt, appliedAt: at, key: trace.key }
    const source = requireSource(lineage, text)
    lineage.noteLink(link, source)
    family.chain = extendChain(family.chain, lineage, { link, position, source })
    family.record = after
    trace.writtenVerifier = after.current.verifier
    assertGeneration(family, after)
    assertOnlyHashes(after)
  }

  function responseSent(trace: RequestTrace, response: ResponseSummary): void {
    counts.requests += 1
    const { status } = response
    proofs.responseSent(trace, response)
    assertReported(trace)
    if (status === 503) {
      counts.faults += 1
      if (!trace.faultInjected && trace.swaps < 3) throw new Violation('I12', 'a 503 without a cause')
      if (response.retryAfter === null) throw new Violation('I12', 'a 503 without Retry-After')
      if (response.touchesCookie) throw new Violation('I12', 'a failed refresh changed the cookie')
      return
    }
    if (status >= 500) throw new Violation('I12', `the server failed with ${String(status)}`)
    if (trace.purpose === 'other') {
      noteIssued(trace, response)
      return
    }
    if (status === 200) assertValidSuccess(trace, response)
    else assertValidRejection(trace, response)
  }

  function noteIssued({ issued }: RequestTrace, { refreshToken }: ResponseSummary): void {
    const first = issued === null ? undefined : families.get(issued)?.chain[0]
    if (issued === null || first === undefined || refreshToken === null) return
    familyIds.set(refreshToken, issued)
    noteToken(first.verifier, refreshToken)
  }

  function assertValidSuccess(trace: RequestTrace, { refreshToken }: ResponseSummary): void {
    const { text, observed, writtenVerifier } = trace
    if (text === null || refreshToken === null) throw new Violation('I2', 'a refresh succeeded without a token')
    if (trace.impersonates) throw new Violation('I11', 'an unauthorized client received a token')
    const family = familyOf(text)
    if (family === undefined || observed === null) throw new Violation('I1', 'a token without a family was exchanged')
    if (family.record !== null) proofs.assertProven(trace, family.record)
    proofs.assertFresh(trace)
    if (trace.proof !== null) counts.proofs += 1
    if (trace.purpose === 'code') counts.codes += 1
    if (family.verdictAt !== null && trace.order > family.verdictAt)
      throw new Violation('I5', 'a request that arrived after the reuse verdict succeeded')
    familyIds.set(refreshToken, family.id)
    if (writtenVerifier !== null) {
      noteToken(writtenVerifier, refreshToken)
      return
    }
    const { position, revoked, expiresAt, at } = observed
    if (revoked) throw new Violation('I5', 'a revoked family received a token')
    if (at >= expiresAt + SKEW_MS) throw new Violation('I10', 'an expired family received a token')
    if (position.kind !== 'spent')
      throw new Violation('I1', `a token in position "${position.kind}" received a token without an exchange`)
    if (position.isUsedUp) throw new Violation('I6', 'a predecessor succeeded after its successor had been used')
    const { link } = position
    const inTime = hasGrace(trace, link) && trace.arrivedAt < link.appliedAt + graceMs + 2 * SKEW_MS
    if (!inTime && !isSameAttempt(trace, link))
      throw trace.purpose === 'code'
        ? new Violation('I17', 'a code was redeemed twice')
        : new Violation('I6', 'a predecessor without a key succeeded after its window had closed')
    noteToken(link.verifier, refreshToken)
  }

  function noteToken(verifier: string, refreshToken: string): void {
    if (lineage.noteToken(verifier, refreshToken) !== null)
      throw new Violation('I2', 'one rotation returned two different tokens')
  }

  function assertValidRejection(trace: RequestTrace, response: ResponseSummary): void {
    const { at, status, error, touchesCookie } = response
    const { text, reason } = trace
    if (touchesCookie) throw new Violation('I12', 'a rejected refresh changed the cookie')
    if (status === 409) return
    if (PROOF_ERRORS.includes(error)) {
      proofs.assertValidRejection(trace, response)
      return
    }
    // The request has no session, or contains something that is not a token.
    const code = text === null ? undefined : codes.get(text)
    if (error !== 'invalid_grant')
      throw new Violation('I3', `a refresh was rejected with ${String(status)} ${String(error)}`)
    if (text === null || (code === undefined && lineage.findSource(text) === undefined)) return
    if (trace.faultInjected) throw new Violation('I12', 'a failing store led to invalid_grant')
    if (code !== undefined && reason === 'expired' && at >= code.expiresAt - SKEW_MS) return
    const family = familyOf(text)
    const wasLost = countLosses(text) > trace.losses || (family !== undefined && family.record === null)
    if (wasLost || (family === undefined && code === undefined)) return
    if (trace.impersonates !== (reason === 'mismatch'))
      throw new Violation(trace.impersonates ? 'I11' : 'I3', `the rejection reason of the client is ${String(reason)}`)
    if (trace.impersonates) return
    if (family === undefined) throw new Violation('I3', `a valid code was rejected as ${String(reason)}`)
    assertValidVerdict(trace, family, at)
  }

  function assertValidVerdict(trace: RequestTrace, family: FamilyHistory, answeredAt: number): void {
    const { observed, reason } = trace
    if (observed === null) throw new Violation('I3', `an authentic token was rejected as ${String(reason)}`)
    const { position, revoked, expiresAt } = observed
    const isRevoked = revoked || family.record?.revocation != null
    switch (reason) {
      case 'revoked':
        if (!isRevoked) throw new Violation('I3', 'an active family was reported as revoked')
        if (!revoked && isLegitimate(trace, position)) throw new Violation('I3', 'the legitimate holder was rejected')
        return
      case 'expired':
        if (answeredAt < expiresAt - SKEW_MS)
          throw new Violation('I3', 'a family was reported as expired before its expiry')
        family.isExpired = true
        return
      case 'reuse':
      case 'rollback':
        if (revoked) throw new Violation('I15', 'a revoked family was revoked again')
        if (isLegitimate(trace, position)) throw new Violation('I3', 'the legitimate holder was rejected')
        if (!isRevoked) throw new Violation('I7', 'the family is not revoked after a reuse verdict')
        if (reason === 'rollback' && position.kind !== 'severed')
          throw new Violation('I7', 'a reuse was reported as lost')
        // A request that arrived before this response may have read the family before it was revoked.
        family.verdictAt ??= traceCount
        return
      default:
        throw new Violation('I3', `an authentic token was rejected as ${String(reason)}`)
    }
  }

  function isLegitimate(trace: RequestTrace, position: ChainPosition): boolean {
    if (position.kind === 'current' || position.kind === 'ahead') return true
    if (position.kind === 'severed' || position.isUsedUp) return false
    const { link } = position
    return (
      (hasGrace(trace, link) && trace.arrivedAt < link.madeAt + graceMs - 2 * SKEW_MS) || isSameAttempt(trace, link)
    )
  }

  /** A second use of a code cannot be attributed to its owner or an attacker. */
  const hasGrace = ({ purpose, key }: RequestTrace, link: Link) =>
    purpose === 'refresh' && graceMs > 0 && (plan.grace === 'any-attempt' || (key === null && link.key === null))

  return {
    lineage,
    counts,
    families,
    lines,
    violation: () => violation,
    familyOf,
    note: (at, line) => lines.push(`${String(at)} ${line}`),
    startTrace(given) {
      const trace: RequestTrace = {
        ...given,
        order: (traceCount += 1),
        losses: countLosses(given.text),
        faultInjected: false,
        observed: null,
        writtenVerifier: null,
        swaps: 0,
        endedFamily: null,
        reports: 0,
        reason: null,
        issued: null,
      }
      proofs.requestArrived(trace)
      return trace
    },
    noteLegacyToken(text) {
      const verifier = `legacy ${text}`
      lineage.noteLink({ verifier, presented: null, madeAt: 0, appliedAt: 0, key: null }, null)
      lineage.noteToken(verifier, text)
    },
    noteCode(text, code) {
      codes.set(text, code)
    },
    created: recordViolations((trace, record, at) => {
      const presented = trace?.purpose === 'other' ? null : (trace?.text ?? null)
      const known = families.get(record.id)
      // Without a presented token the id is new, or a driver repeats a command after a fail-over has lost the first.
      const expectedFamily = presented === null ? known : familyOf(presented)
      if (known?.record != null || known?.isDeleted === true || expectedFamily !== known)
        throw new Violation('I17', 'one token or code created two families')
      if (trace?.impersonates === true)
        throw new Violation('I11', 'a request without the required proof or verifier created a family')
      if (!isSameConfirmation(record.grant.confirmation, trace?.proof?.confirmation ?? null))
        throw new Violation('I16', 'a family was bound to another key than the proven one')
      // A legacy token comes from a rotation that this store has no record of.
      const source = presented === null ? undefined : lineage.findSource(presented)
      const origin = source === undefined ? undefined : lineage.findLink(source)
      const { verifier } = record.current
      const made: Link = { verifier, presented: presented, madeAt: at, appliedAt: at, key: trace?.key ?? null }
      lineage.noteLink(made, source ?? null)
      const family: FamilyHistory = {
        id: record.id,
        subject: record.grant.subject,
        ends: new Set(),
        reports: 0,
        unconfirmedReports: 0,
        losses: 0,
        isStolen: false,
        isExcused: false,
        isExpired: false,
        isDeleted: false,
        ...known,
        record,
        chain: origin === undefined ? [made] : [origin, made],
        verdictAt: null,
      }
      families.set(record.id, family)
      if (trace !== undefined && presented !== null) {
        familyIds.set(presented, record.id)
        trace.writtenVerifier = verifier
        trace.observed = { at, position: { kind: 'current' }, revoked: false, expiresAt: record.expiresAt }
      }
      assertGeneration(family, record)
      assertOnlyHashes(record)
    }),
    storeAccessed: recordViolations(storeAccessed),
    revoked: recordViolations((trace, { before, after }) => {
      if (before === after) return
      const family = families.get(before.id)
      if (family === undefined) throw new Violation('I4', 'a family exists that no request has created')
      family.record = after
      // A command that is executed again after a fail-over has undone it is one revocation.
      if (after.revocation !== null) family.ends.add(after.revocation.id)
      if (trace === undefined) return
      trace.endedFamily = family
      if (trace.purpose === 'code' || (trace.purpose === 'refresh' && trace.isOrphaned())) family.isExcused = true
    }),
    deleted: recordViolations((record, now) => {
      const isDead = record.revocation !== null || record.expiresAt <= now
      if (!isDead || record.lifetime.keepUntil > now) throw new Violation('I17', 'a record was deleted too early')
      const family = families.get(record.id)
      if (family === undefined) return
      family.record = null
      family.isDeleted = true
    }),
    checkpoint(id) {
      const before = families.get(id)
      const kept = before === undefined ? null : { ...before }
      return () => {
        const family = families.get(id)
        if (family === undefined) return
        family.record = kept?.record ?? null
        family.chain = kept?.chain ?? []
        family.isDeleted = kept?.isDeleted ?? false
        family.verdictAt = family.record?.revocation == null ? null : (kept?.verdictAt ?? null)
        family.losses += 1
      }
    },
    eventEmitted: recordViolations((trace, event) => {
      assertNoToken(event)
      switch (event.type) {
        case 'rotated':
        case 'renewed':
          counts.rotations += 1
          break
        case 'retried':
          counts.retries += 1
          break
        case 'healed':
          counts.heals += 1
          break
        case 'imported':
          counts.imports += 1
          break
        case 'reuse':
        case 'revoked': {
          const family = families.get(event.familyId)
          if (family !== undefined && event.unconfirmed === true) family.unconfirmedReports += 1
          else if (family !== undefined) family.reports += 1
          if (family !== undefined && family.reports > family.ends.size)
            throw new Violation('I15', 'one revocation was reported twice')
          if (event.type === 'reuse') counts.reuses += 1
          if (trace !== undefined) {
            trace.reports += 1
            trace.reason = event.type
          }
          break
        }
        case 'rejected':
          if (event.reason === 'rollback') counts.losses += 1
          if (trace !== undefined) trace.reason = event.reason
          break
        case 'issued':
          if (trace !== undefined) trace.issued = event.familyId
          break
        case 'fault':
          break
      }
    }),
    responseSent: recordViolations(responseSent),
    isAllReported: () =>
      [...families.values()].every(
        ({ ends, reports, unconfirmedReports }) => ends.size <= reports + unconfirmedReports,
      ),
  }
}

/** A call that may have written a revocation reports it before it returns, whatever the result of the write. */
function assertReported({ endedFamily, reports }: RequestTrace): void {
  if (endedFamily !== null && reports === 0) throw new Violation('I19', 'a call revoked a family and did not report it')
}

/** The family that the code has created is its only successor. */
function findCodePosition({ chain }: FamilyHistory): ChainPosition {
  const [link] = chain
  return link === undefined ? { kind: 'current' } : { kind: 'spent', link, isUsedUp: chain.length > 1 }
}

function isSameAttempt({ key, text }: RequestTrace, link: Link): boolean {
  return key !== null && key === link.key && link.presented === text
}

function assertGeneration({ chain }: FamilyHistory, { current: { generation } }: FamilyRecord): void {
  if (generation === chain.length - 1) return
  throw new Violation('I4', `the generation is ${String(generation)} after ${String(chain.length - 1)} rotations`)
}

function assertOnlyHashes(record: FamilyRecord): void {
  const { verifier, nonce, retryKey } = record.current
  for (const text of [record.id, verifier, nonce, retryKey ?? '']) {
    if (text.length > 24) throw new Violation('I13', 'the record contains more than hashes')
  }
  assertNoToken(record)
}

/** Longer than a hash. One hash in millions contains the prefix of a token by chance. */
const TOKEN = /b(rt|ac)_[A-Za-z0-9_-]{40}|foreign-token/

function assertNoToken(value: unknown): void {
  if (TOKEN.test(JSON.stringify(value))) throw new Violation('I13', 'a record or an event contains a token')
}
