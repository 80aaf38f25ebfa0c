import { type Confirmation, type FamilyRecord, type RefreshEvent, sameConfirmation } from '@baton/core'
import { createLineage, type Lineage, type Link } from '../history/lineage.js'
import { demandBirth, extended, type Standing, standingOf } from '../history/standing.js'
import { Violation } from '../history/violation.js'
import type { Plan } from './plan.js'
import { createProofJudge, PROOF_ERRORS } from './proof-judge.js'
import type { Answer, FamilyHistory, Visit } from './visit.js'

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

export interface Chronicle {
  readonly lineage: Lineage
  readonly counts: Counts
  readonly families: ReadonlyMap<string, FamilyHistory>
  visit(given: Pick<Visit, 'purpose' | 'text' | 'key' | 'proof' | 'pretends' | 'arrivedAt' | 'isStray'>): Visit
  /** The family of a token or a code; undefined for none that exists. */
  familyOf(text: string): FamilyHistory | undefined
  /** Another system's token, of which a family may be made. */
  noteForeign(text: string): void
  noteCode(text: string, code: Code): void
  created(visit: Visit | undefined, record: FamilyRecord, at: number): void
  /** The store has looked at the family for this visit, and written if `after` is another record. */
  looked(
    visit: Visit | undefined,
    seen: { before: FamilyRecord; after: FamilyRecord; madeAt: number; at: number; isSwap: boolean },
  ): void
  revoked(visit: Visit | undefined, seen: { before: FamilyRecord; after: FamilyRecord }): void
  deleted(record: FamilyRecord, now: number): void
  /** Keeps what is known of a family, for a store that may forget what comes now. */
  checkpoint(id: string): () => void
  reported(visit: Visit | undefined, event: RefreshEvent): void
  /** Judges the answer. Throws a `Violation`. */
  answered(visit: Visit, answer: Answer): void
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

export function createChronicle(plan: Plan): Chronicle {
  const lineage = createLineage()
  const proofs = createProofJudge(plan)
  const codes = new Map<string, Code>()
  const families = new Map<string, FamilyHistory>()
  const familyIds = new Map<string, string>()
  const lines: string[] = []
  let visits = 0
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
  function watched<Given extends unknown[]>(judge: (...given: Given) => void): (...given: Given) => void {
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
  const lossesOf = (text: string | null) => (text === null ? 0 : (familyOf(text)?.losses ?? 0))

  function looked(
    visit: Visit | undefined,
    { before, after, madeAt, at, isSwap }: Parameters<Chronicle['looked']>[1],
  ): void {
    const family = families.get(before.id)
    if (family === undefined) throw new Violation('I4', 'a family stands that nobody has made')
    if (visit?.text == null || familyOf(visit.text) !== family) return
    const { text } = visit
    const standing = visit.purpose === 'code' ? standingOfCode(family) : standingOf(family.chain, lineage, text)
    visit.sight = { at, standing, revoked: before.revocation !== null, expiresAt: before.expiresAt }
    if (isSwap) visit.swaps += 1
    // What the store has forgotten since was not written.
    if (!family.chain.some(({ verifier }) => verifier === visit.wrote)) visit.wrote = null
    if (after === before) return

    if (visit.pretends) throw new Violation('I11', 'another client changed the family')
    proofs.demandProven(visit, before)
    if (before.revocation !== null) throw new Violation('I5', 'a dead family was written to')
    if (after.expiresAt > after.lifetime.absoluteExpiresAt)
      throw new Violation('I10', 'the idle end passed the absolute end')
    if (madeAt >= before.expiresAt) throw new Violation('I10', 'a family went on after its end')
    if (standing.kind !== 'current' && standing.kind !== 'ahead')
      throw new Violation('I1', `a token that is ${standing.kind} was exchanged, which makes a second successor`)
    const link: Link = { verifier: after.current.verifier, presented: text, madeAt, appliedAt: at, key: visit.key }
    const birth = demandBirth(lineage, text)
    lineage.noteLink(link, birth)
    family.chain = extended(family.chain, lineage, { link, standing, birth })
    family.record = after
    visit.wrote = after.current.verifier
    demandGeneration(family, after)
    demandOnlyHashes(after)
  }

  function answered(visit: Visit, answer: Answer): void {
    counts.requests += 1
    const { status } = answer
    proofs.answered(answer)
    demandReported(visit)
    if (status === 503) {
      counts.faults += 1
      if (!visit.hurt && visit.swaps < 3) throw new Violation('I12', 'a 503 without a cause')
      if (answer.retryAfter === null) throw new Violation('I12', 'a 503 that does not say when to come again')
      if (answer.touchesCookie) throw new Violation('I12', 'a failure touched the cookie')
      return
    }
    if (status >= 500) throw new Violation('I12', `the server broke: ${String(status)}`)
    if (visit.purpose === 'other') {
      noteIssued(visit, answer)
      return
    }
    if (status === 200) demandJustSuccess(visit, answer)
    else demandJustRefusal(visit, answer)
  }

  function noteIssued({ issued }: Visit, { refreshToken }: Answer): void {
    const first = issued === null ? undefined : families.get(issued)?.chain[0]
    if (issued === null || first === undefined || refreshToken === null) return
    familyIds.set(refreshToken, issued)
    noteAnswer(first.verifier, refreshToken)
  }

  function demandJustSuccess(visit: Visit, { refreshToken }: Answer): void {
    const { text, sight, wrote } = visit
    if (text === null || refreshToken === null) throw new Violation('I2', 'a success without a token')
    if (visit.pretends) throw new Violation('I11', 'a pretender got a token')
    const family = familyOf(text)
    if (family === undefined || sight === null) throw new Violation('I1', 'a token of no family was exchanged')
    if (family.record !== null) proofs.demandProven(visit, family.record)
    proofs.demandFresh(visit)
    if (visit.proof !== null) counts.proofs += 1
    if (visit.purpose === 'code') counts.codes += 1
    if (family.verdictAt !== null && visit.order > family.verdictAt)
      throw new Violation('I5', 'a request that began after the verdict was served')
    familyIds.set(refreshToken, family.id)
    if (wrote !== null) {
      noteAnswer(wrote, refreshToken)
      return
    }
    const { standing, revoked, expiresAt, at } = sight
    if (revoked) throw new Violation('I5', 'a dead family got a token')
    if (at >= expiresAt + SKEW_MS) throw new Violation('I10', 'a family got a token after its end')
    if (standing.kind !== 'spent')
      throw new Violation('I1', `a token that is ${standing.kind} was exchanged for nothing`)
    if (standing.isUsedUp) throw new Violation('I6', 'a predecessor succeeded after its successor had been used')
    const { link } = standing
    const inTime = hasGrace(visit, link) && visit.arrivedAt < link.appliedAt + graceMs + 2 * SKEW_MS
    if (!inTime && !isSameAttempt(visit, link))
      throw visit.purpose === 'code'
        ? new Violation('I17', 'a code was good twice')
        : new Violation('I6', 'a bare predecessor succeeded after its window had closed')
    noteAnswer(link.verifier, refreshToken)
  }

  function noteAnswer(verifier: string, refreshToken: string): void {
    if (lineage.noteAnswer(verifier, refreshToken) !== null)
      throw new Violation('I2', 'one rotation was answered with two different tokens')
  }

  function demandJustRefusal(visit: Visit, answer: Answer): void {
    const { at, status, error, touchesCookie } = answer
    const { text, reason } = visit
    if (touchesCookie) throw new Violation('I12', 'a refused refresh touched the cookie')
    if (status === 409) return
    if (PROOF_ERRORS.includes(error)) {
      proofs.demandJustRefusal(visit, answer)
      return
    }
    // No session to refresh, or rubbish that is no token of ours.
    const code = text === null ? undefined : codes.get(text)
    if (error !== 'invalid_grant')
      throw new Violation('I3', `a refresh was answered with ${String(status)} ${String(error)}`)
    if (text === null || (code === undefined && lineage.birthOf(text) === undefined)) return
    if (visit.hurt) throw new Violation('I12', 'a failing store was answered with invalid_grant')
    if (code !== undefined && reason === 'expired' && at >= code.expiresAt - SKEW_MS) return
    const family = familyOf(text)
    const hasForgotten = lossesOf(text) > visit.losses || (family !== undefined && family.record === null)
    if (hasForgotten || (family === undefined && code === undefined)) return
    if (visit.pretends !== (reason === 'mismatch'))
      throw new Violation(visit.pretends ? 'I11' : 'I3', `the wrong client was told ${String(reason)}`)
    if (visit.pretends) return
    if (family === undefined) throw new Violation('I3', `a code that is good was refused as ${String(reason)}`)
    demandJustVerdict(visit, family, at)
  }

  function demandJustVerdict(visit: Visit, family: FamilyHistory, answeredAt: number): void {
    const { sight, reason } = visit
    if (sight === null) throw new Violation('I3', `an authentic token was refused as ${String(reason)}`)
    const { standing, revoked, expiresAt } = sight
    const isRevoked = revoked || family.record?.revocation != null
    switch (reason) {
      case 'revoked':
        if (!isRevoked) throw new Violation('I3', 'a living family was called revoked')
        if (!revoked && isRightful(visit, standing))
          throw new Violation('I3', 'a rightful holder was taken for a thief')
        return
      case 'expired':
        if (answeredAt < expiresAt - SKEW_MS) throw new Violation('I3', 'a family was called expired before its end')
        return
      case 'reuse':
      case 'lost':
        if (revoked) throw new Violation('I15', 'a dead family was ended again')
        if (isRightful(visit, standing)) throw new Violation('I3', 'a rightful holder was taken for a thief')
        if (!isRevoked) throw new Violation('I7', 'a verdict left the family alive')
        if (reason === 'lost' && standing.kind !== 'severed')
          throw new Violation('I7', 'a theft was called a loss of the store')
        family.verdictAt ??= visit.order
        return
      default:
        throw new Violation('I3', `an authentic token was refused as ${String(reason)}`)
    }
  }

  function isRightful(visit: Visit, standing: Standing): boolean {
    if (standing.kind === 'current' || standing.kind === 'ahead') return true
    if (standing.kind === 'severed' || standing.isUsedUp) return false
    const { link } = standing
    return (
      (hasGrace(visit, link) && visit.arrivedAt < link.madeAt + graceMs - 2 * SKEW_MS) || isSameAttempt(visit, link)
    )
  }

  /** Nothing tells the second use of a code by its owner from the first by a thief. */
  const hasGrace = ({ purpose, key }: Visit, link: Link) =>
    purpose === 'refresh' && graceMs > 0 && (plan.grace === 'any-attempt' || (key === null && link.key === null))

  return {
    lineage,
    counts,
    families,
    lines,
    violation: () => violation,
    familyOf,
    note: (at, line) => lines.push(`${String(at)} ${line}`),
    visit(given) {
      const visit: Visit = {
        ...given,
        order: (visits += 1),
        losses: lossesOf(given.text),
        hurt: false,
        sight: null,
        wrote: null,
        swaps: 0,
        ended: null,
        reports: 0,
        reason: null,
        issued: null,
      }
      proofs.arrived(visit)
      return visit
    },
    noteForeign(text) {
      const verifier = `another system's ${text}`
      lineage.noteLink({ verifier, presented: null, madeAt: 0, appliedAt: 0, key: null }, null)
      lineage.noteAnswer(verifier, text)
    },
    noteCode(text, code) {
      codes.set(text, code)
    },
    created: watched((visit, record, at) => {
      const shown = visit?.purpose === 'other' ? null : (visit?.text ?? null)
      const known = families.get(record.id)
      // Where nothing was shown the id is new, or a driver sends again what a fail-over has lost in between.
      const begun = shown === null ? known : familyOf(shown)
      if (known?.record != null || known?.isDeleted === true || begun !== known)
        throw new Violation('I17', 'one token or code made two families')
      if (visit?.pretends === true) throw new Violation('I11', 'a family was begun by somebody who lacks something')
      if (!sameConfirmation(record.grant.confirmation, visit?.proof?.confirmation ?? null))
        throw new Violation('I16', 'a family was bound to another key than the one that was proven')
      // A token of another system is the fruit of a link that this store has never seen.
      const birth = shown === null ? undefined : lineage.birthOf(shown)
      const origin = birth === undefined ? undefined : lineage.linkOf(birth)
      const { verifier } = record.current
      const made: Link = { verifier, presented: shown, madeAt: at, appliedAt: at, key: visit?.key ?? null }
      lineage.noteLink(made, birth ?? null)
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
      if (visit !== undefined && shown !== null) {
        familyIds.set(shown, record.id)
        visit.wrote = verifier
        visit.sight = { at, standing: { kind: 'current' }, revoked: false, expiresAt: record.expiresAt }
      }
      demandGeneration(family, record)
      demandOnlyHashes(record)
    }),
    looked: watched(looked),
    revoked: watched((visit, { before, after }) => {
      if (before === after) return
      const family = families.get(before.id)
      if (family === undefined) throw new Violation('I4', 'a family stands that nobody has made')
      family.record = after
      family.ends += 1
      if (visit === undefined) return
      visit.ended = family
      if (visit.purpose === 'code' || (visit.purpose === 'refresh' && visit.isStray())) family.isExcused = true
    }),
    deleted: watched((record, now) => {
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
    reported: watched((visit, event) => {
      demandNoToken(event)
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
          if (visit !== undefined) {
            visit.reports += 1
            visit.reason = event.type
          }
          break
        }
        case 'refused':
          if (event.reason === 'lost') counts.losses += 1
          if (visit !== undefined) visit.reason = event.reason
          break
        case 'issued':
          if (visit !== undefined) visit.issued = event.familyId
          break
        case 'fault':
          break
      }
    }),
    answered: watched(answered),
    isAllReported: () =>
      [...families.values()].every(({ ends, reports, unconfirmedReports }) => ends <= reports + unconfirmedReports),
  }
}

/** A call whose write may have been made reports it before it answers, however the write ended. */
function demandReported({ ended, reports }: Visit): void {
  if (ended !== null && reports === 0) throw new Violation('I19', 'a call ended a family and did not report it')
}

/** The family that it has begun is its only successor. */
function standingOfCode({ chain }: FamilyHistory): Standing {
  const [link] = chain
  return link === undefined ? { kind: 'current' } : { kind: 'spent', link, isUsedUp: chain.length > 1 }
}

function isSameAttempt({ key, text }: Visit, link: Link): boolean {
  return key !== null && key === link.key && link.presented === text
}

function demandGeneration({ chain }: FamilyHistory, { current: { generation } }: FamilyRecord): void {
  if (generation === chain.length - 1) return
  throw new Violation('I4', `the generation is ${String(generation)} after ${String(chain.length - 1)} rotations`)
}

function demandOnlyHashes(record: FamilyRecord): void {
  const { verifier, nonce, retryKey } = record.current
  for (const text of [record.id, verifier, nonce, retryKey ?? '']) {
    if (text.length > 24) throw new Violation('I13', 'the record holds more than hashes')
  }
  demandNoToken(record)
}

/** Longer than a hash, one in millions of which happens to hold the letters that tokens begin with. */
const TOKEN = /b(rt|ac)_[A-Za-z0-9_-]{40}|foreign-token/

function demandNoToken(value: unknown): void {
  if (TOKEN.test(JSON.stringify(value))) throw new Violation('I13', 'a token was stored or told')
}
