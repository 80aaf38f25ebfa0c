import { type Confirmation, type FamilyRecord, type RefreshEvent, sameConfirmation } from '@baton/core'
import { createLineage, type Lineage, type Link } from '../history/lineage.js'
import { requireSource, extendChain, type ChainPosition, findPosition } from '../history/chain-position.js'
import { Violation } from '../history/violation.js'
import type { Plan } from './plan.js'
import { createProofJudge, PROOF_ERRORS } from './proof-judge.js'
import type { ResponseSummary, FamilyHistory, RequestTrace } from './trace.js'

/** An authorization code, from outside. */
interface Code {
  readonly expiresAt: number
  /** Only a proof of this key redeems it. */
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
  /** The family of a token or a code; undefined for none that exists. */
  familyOf(text: string): FamilyHistory | undefined
  /** Another system's token, of which a family may be made. */
  noteLegacyToken(text: string): void
  noteCode(text: string, code: Code): void
  created(trace: RequestTrace | undefined, record: FamilyRecord, at: number): void
  /** The store has looked at the family for this visit, and written if `after` is another record. */
  storeAccessed(
    trace: RequestTrace | undefined,
    seen: { before: FamilyRecord; after: FamilyRecord; madeAt: number; at: number; isSwap: boolean },
  ): void
  revoked(trace: RequestTrace | undefined, seen: { before: FamilyRecord; after: FamilyRecord }): void
  deleted(record: FamilyRecord, now: number): void
  /** Keeps what is known of a family, for a store that may forget what comes now. */
  checkpoint(id: string): () => void
  eventEmitted(trace: RequestTrace | undefined, event: RefreshEvent): void
  /** Judges the answer. Throws a `Violation`. */
  responseSent(trace: RequestTrace, response: ResponseSummary): void
  /** Whether every end of a family was reported, whatever became of the store's reply. */
  isAllReported(): boolean
  /** The first one that was met. The code under test may have taken it for an error of its store. */
  readonly violation: () => Violation | null
  /** What has happened, in lines, for a digest and for reading. */
  readonly lines: readonly string[]
  note(at: number, line: string): void
}

/** Each process is off by as much at most. */
const SKEW_MS = 1000

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
  const counts: Counts = {
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

  /** Remembers a violation, wherever it is thrown into. */
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
    if (family === undefined) throw new Violation('I4', 'a family stands that nobody has made')
    if (trace?.text == null || familyOf(trace.text) !== family) return
    const { text } = trace
    const position = trace.purpose === 'code' ? findCodePosition(family) : findPosition(family.chain, lineage, text)
    trace.observed = { at, position, revoked: before.revocation !== null, expiresAt: before.expiresAt }
    if (isSwap) trace.swaps += 1
    // What the store has forgotten since was not written.
    if (!family.chain.some(({ verifier }) => verifier === trace.writtenVerifier)) trace.writtenVerifier = null
    if (after === before) return

    if (trace.impersonates) throw new Violation('I11', 'another client changed the family')
    proofs.assertProven(trace, before)
    if (before.revocation !== null) throw new Violation('I5', 'a dead family was written to')
    if (after.expiresAt > after.lifetime.absoluteExpiresAt)
      throw new Violation('I10', 'the idle end passed the absolute end')
    if (madeAt >= before.expiresAt) throw new Violation('I10', 'a family went on after its end')
    if (position.kind !== 'current' && position.kind !== 'ahead')
      throw new Violation('I1', `a token that is ${position.kind} was exchanged, which makes a second successor`)
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
    proofs.responseSent(response)
    assertReported(trace)
    if (status === 503) {
      counts.faults += 1
      if (!trace.faultInjected && trace.swaps < 3) throw new Violation('I12', 'a 503 without a cause')
      if (response.retryAfter === null) throw new Violation('I12', 'a 503 that does not say when to come again')
      if (response.touchesCookie) throw new Violation('I12', 'a failure touched the cookie')
      return
    }
    if (status >= 500) throw new Violation('I12', `the server broke: ${String(status)}`)
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
    if (text === null || refreshToken === null) throw new Violation('I2', 'a success without a token')
    if (trace.impersonates) throw new Violation('I11', 'a pretender got a token')
    const family = familyOf(text)
    if (family === undefined || observed === null) throw new Violation('I1', 'a token of no family was exchanged')
    if (family.record !== null) proofs.assertProven(trace, family.record)
    proofs.assertFresh(trace)
    if (trace.proof !== null) counts.proofs += 1
    if (trace.purpose === 'code') counts.codes += 1
    if (family.verdictAt !== null && trace.order > family.verdictAt)
      throw new Violation('I5', 'a request that began after the verdict was served')
    familyIds.set(refreshToken, family.id)
    if (writtenVerifier !== null) {
      noteToken(writtenVerifier, refreshToken)
      return
    }
    const { position, revoked, expiresAt, at } = observed
    if (revoked) throw new Violation('I5', 'a dead family got a token')
    if (at >= expiresAt + SKEW_MS) throw new Violation('I10', 'a family got a token after its end')
    if (position.kind !== 'spent')
      throw new Violation('I1', `a token that is ${position.kind} was exchanged for nothing`)
    if (position.isUsedUp) throw new Violation('I6', 'a predecessor succeeded after its successor had been used')
    const { link } = position
    const inTime = hasGrace(trace, link) && trace.arrivedAt < link.appliedAt + graceMs + 2 * SKEW_MS
    if (!inTime && !isSameAttempt(trace, link))
      throw trace.purpose === 'code'
        ? new Violation('I17', 'a code was good twice')
        : new Violation('I6', 'a bare predecessor succeeded after its window had closed')
    noteToken(link.verifier, refreshToken)
  }

  function noteToken(verifier: string, refreshToken: string): void {
    if (lineage.noteToken(verifier, refreshToken) !== null)
      throw new Violation('I2', 'one rotation was answered with two different tokens')
  }

  function assertValidRejection(trace: RequestTrace, response: ResponseSummary): void {
    const { at, status, error, touchesCookie } = response
    const { text, reason } = trace
    if (touchesCookie) throw new Violation('I12', 'a refused refresh touched the cookie')
    if (status === 409) return
    if (PROOF_ERRORS.includes(error)) {
      proofs.assertValidRejection(trace, response)
      return
    }
    // No session to refresh, or rubbish that is no token of ours.
    const code = text === null ? undefined : codes.get(text)
    if (error !== 'invalid_grant')
      throw new Violation('I3', `a refresh was answered with ${String(status)} ${String(error)}`)
    if (text === null || (code === undefined && lineage.findSource(text) === undefined)) return
    if (trace.faultInjected) throw new Violation('I12', 'a failing store was answered with invalid_grant')
    if (code !== undefined && reason === 'expired' && at >= code.expiresAt - SKEW_MS) return
    const family = familyOf(text)
    const wasLost = countLosses(text) > trace.losses || (family !== undefined && family.record === null)
    if (wasLost || (family === undefined && code === undefined)) return
    if (trace.impersonates !== (reason === 'mismatch'))
      throw new Violation(trace.impersonates ? 'I11' : 'I3', `the wrong client was told ${String(reason)}`)
    if (trace.impersonates) return
    if (family === undefined) throw new Violation('I3', `a code that is good was refused as ${String(reason)}`)
    assertValidVerdict(trace, family, at)
  }

  function assertValidVerdict(trace: RequestTrace, family: FamilyHistory, answeredAt: number): void {
    const { observed, reason } = trace
    if (observed === null) throw new Violation('I3', `an authentic token was refused as ${String(reason)}`)
    const { position, revoked, expiresAt } = observed
    const isRevoked = revoked || family.record?.revocation != null
    switch (reason) {
      case 'revoked':
        if (!isRevoked) throw new Violation('I3', 'a living family was called revoked')
        if (!revoked && isLegitimate(trace, position))
          throw new Violation('I3', 'a rightful holder was taken for a thief')
        return
      case 'expired':
        if (answeredAt < expiresAt - SKEW_MS) throw new Violation('I3', 'a family was called expired before its end')
        return
      case 'reuse':
      case 'lost':
        if (revoked) throw new Violation('I15', 'a dead family was ended again')
        if (isLegitimate(trace, position)) throw new Violation('I3', 'a rightful holder was taken for a thief')
        if (!isRevoked) throw new Violation('I7', 'a verdict left the family alive')
        if (reason === 'lost' && position.kind !== 'severed')
          throw new Violation('I7', 'a theft was called a loss of the store')
        family.verdictAt ??= trace.order
        return
      default:
        throw new Violation('I3', `an authentic token was refused as ${String(reason)}`)
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

  /** Nothing tells the second use of a code by its owner from the first by a thief. */
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
      const verifier = `another system's ${text}`
      lineage.noteLink({ verifier, presented: null, madeAt: 0, appliedAt: 0, key: null }, null)
      lineage.noteToken(verifier, text)
    },
    noteCode(text, code) {
      codes.set(text, code)
    },
    created: recordViolations((trace, record, at) => {
      const presented = trace?.purpose === 'other' ? null : (trace?.text ?? null)
      const known = families.get(record.id)
      // Where nothing was shown the id is new, or a driver sends again what a fail-over has lost in between.
      const expectedFamily = presented === null ? known : familyOf(presented)
      if (known?.record != null || known?.isDeleted === true || expectedFamily !== known)
        throw new Violation('I17', 'one token or code made two families')
      if (trace?.impersonates === true) throw new Violation('I11', 'a family was begun by somebody who lacks something')
      if (!sameConfirmation(record.grant.confirmation, trace?.proof?.confirmation ?? null))
        throw new Violation('I16', 'a family was bound to another key than the one that was proven')
      // A token of another system is the fruit of a link that this store has never seen.
      const source = presented === null ? undefined : lineage.findSource(presented)
      const origin = source === undefined ? undefined : lineage.findLink(source)
      const { verifier } = record.current
      const made: Link = { verifier, presented: presented, madeAt: at, appliedAt: at, key: trace?.key ?? null }
      lineage.noteLink(made, source ?? null)
      const family: FamilyHistory = {
        id: record.id,
        subject: record.grant.subject,
        ends: 0,
        reports: 0,
        unconfirmedReports: 0,
        losses: 0,
        isStolen: false,
        isExcused: false,
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
      if (family === undefined) throw new Violation('I4', 'a family stands that nobody has made')
      family.record = after
      family.ends += 1
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
          if (family !== undefined && family.reports > family.ends)
            throw new Violation('I15', 'one end of a family was reported twice')
          if (event.type === 'reuse') counts.reuses += 1
          if (trace !== undefined) {
            trace.reports += 1
            trace.reason = event.type
          }
          break
        }
        case 'refused':
          if (event.reason === 'lost') counts.losses += 1
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
      [...families.values()].every(({ ends, reports, unconfirmedReports }) => ends <= reports + unconfirmedReports),
  }
}

/** A call whose write may have been made reports it before it answers, however the write ended. */
function assertReported({ endedFamily, reports }: RequestTrace): void {
  if (endedFamily !== null && reports === 0) throw new Violation('I19', 'a call ended a family and did not report it')
}

/** The family that it has begun is its only successor. */
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
    if (text.length > 24) throw new Violation('I13', 'the record holds more than hashes')
  }
  assertNoToken(record)
}

/** Longer than a hash, one in millions of which happens to hold the letters that tokens begin with. */
const TOKEN = /b(rt|ac)_[A-Za-z0-9_-]{40}|foreign-token/

function assertNoToken(value: unknown): void {
  if (TOKEN.test(JSON.stringify(value))) throw new Violation('I13', 'a token was stored or told')
}
