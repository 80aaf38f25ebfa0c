import type { FamilyRecord, MintOutcome, RedeemOutcome, RotateOutcome } from '@baton/core'
import type { CallOutcome } from './core-call.js'
import type { Lineage, Link } from '../history/lineage.js'
import { requireSource, extendChain, type ChainPosition, findPosition } from '../history/chain-position.js'
import { Violation } from '../history/violation.js'
import type { Flight, Setup, World } from './world.js'
import { applyTo, type ModelStore, type StoreCall } from './store.js'

/** What was counted along the way: a search that never saw a heal shows nothing about heals. */
export type Occasion = MintOutcome | 'issued' | 'reuse' | 'lost' | 'refused' | 'faults' | 'revoked'

export interface Judge {
  /** The world after the store has carried out a call of `flight`, and the flight with what it has seen and done. */
  carryOut(world: World, flight: Flight, call: StoreCall): { world: World; flight: Flight }
  /** The world once the core is done with `flight`; throws a `Violation` for an answer that history does not justify. */
  conclude(world: World, flight: Flight): World
  readonly occasions: ReadonlyMap<Occasion, number>
}

/**
 * Judges by history alone: which tokens were handed out, shown and exchanged, in which order and when. It knows nothing of
 * generations, verifiers' contents or the decision table, so that a fault there cannot hide itself.
 */
export function createJudge(setup: Setup, lineage: Lineage, store: ModelStore = applyTo): Judge {
  const graceMs = setup.core.graceSeconds * 1000
  const occasions = new Map<Occasion, number>()
  const count = (occasion: Occasion) => occasions.set(occasion, (occasions.get(occasion) ?? 0) + 1)

  function carryOut(world: World, flight: Flight, call: StoreCall): { world: World; flight: Flight } {
    const before = world.record
    const record = store(before, call)
    const expired = before !== null && world.now >= before.expiresAt
    if (call.method === 'revoke') {
      const ended = flight.ended || record !== before
      return { world: updateWorld(world, { record }), flight: { ...flight, ended } }
    }
    const position = findPosition(world.chain, lineage, flight.text)
    const seen: Flight = {
      ...flight,
      observed: { position, revoked: before !== null && before.revocation !== null, expired },
      swaps: flight.swaps + (call.method === 'rotate' ? 1 : 0),
      // What the store has forgotten since was not written.
      writtenVerifier: world.chain.some(({ verifier }) => verifier === flight.writtenVerifier)
        ? flight.writtenVerifier
        : null,
    }
    if (call.method === 'find' || record === null || record === before) return { world, flight: seen }

    assertAuthorized(setup, flight)
    if (before?.revocation != null) throw new Violation('I5', 'a dead family was written to')
    if (record.expiresAt > record.lifetime.absoluteExpiresAt)
      throw new Violation('I10', 'the idle end passed the absolute end')
    if (call.method === 'create') {
      if (world.code !== null && getArrival(flight) >= world.code.expiresAt)
        throw new Violation('I17', 'a code began a family after its end')
      const { verifier, rotatedAt: madeAt } = call.record.current
      return applyExchange(world, seen, { record, verifier, madeAt, position })
    }
    const { next, now: madeAt } = call.command
    if (before !== null && madeAt >= before.expiresAt) throw new Violation('I10', 'a family went on after its end')
    if (next === null) {
      if (position.kind !== 'current') throw new Violation('I1', `a token that is ${position.kind} was renewed`)
      return { world: updateWorld(world, { record }), flight: { ...seen, writtenVerifier: record.current.verifier } }
    }
    if (setup.core.rotation === 'never') throw new Violation('I4', 'a token rotated that must stay')
    return applyExchange(world, seen, { record, verifier: next.verifier, madeAt, position })
  }

  /** An exchange that the store has carried out. */
  function applyExchange(
    world: World,
    flight: Flight,
    { record, verifier, madeAt, position }: Exchange,
  ): { world: World; flight: Flight } {
    if (position.kind !== 'current' && position.kind !== 'ahead')
      throw flight.kind === 'redeem'
        ? new Violation('I17', 'a code made two families')
        : new Violation('I1', `a token that is ${position.kind} was exchanged, which makes a second successor`)
    const { text, key } = flight
    const link: Link = { verifier, presented: text, madeAt, appliedAt: world.now, key }
    const source = requireSource(lineage, text)
    lineage.noteLink(link, source)
    const chain = extendChain(world.chain, lineage, { link, position, source })
    // The family of a code begins with it.
    const rotations = chain.length - (world.code === null ? 1 : 2)
    const { generation, nonce, verifier: stored, retryKey } = record.current
    if (generation !== rotations)
      throw new Violation('I4', `the generation is ${String(generation)} after ${String(rotations)} rotations`)
    for (const hash of [nonce, stored, retryKey ?? '', record.id]) {
      if (hash.length >= 32) throw new Violation('I13', 'the record holds more than hashes')
    }
    return { world: updateWorld(world, { record, chain }), flight: { ...flight, writtenVerifier: verifier } }
  }

  function updateWorld(world: World, change: Partial<Pick<World, 'record' | 'chain'>>): World {
    if (change.record === world.record) return world
    const { record, chain, verdict, reported } = world
    return { ...world, ...change, past: [{ record, chain, verdict, reported }, ...world.past].slice(0, 2) }
  }

  function conclude(world: World, flight: Flight): World {
    const { call } = flight
    if (call === null) throw new Error('a flight that never arrived has no answer')
    const { step, events } = call
    const reports = events.filter((event) => event.type === 'reuse' || event.type === 'revoked')
    const isConfirmed = reports.some(({ unconfirmed }) => unconfirmed !== true)
    if (isConfirmed && world.reported) throw new Violation('I15', 'one end of a family was reported twice')
    if (reports.length > 1) throw new Violation('I15', 'one call reported an end twice')
    if (flight.ended && reports.length === 0) throw new Violation('I19', 'the end of a family went unreported')
    if (!flight.faultInjected && reports.length > 0 && !isConfirmed)
      throw new Violation('I19', 'an end that the store confirmed was reported as unconfirmed')
    const after = isConfirmed ? { ...world, reported: true } : world
    switch (step.kind) {
      case 'calls':
        throw new Error('a flight that waits for the store has no answer')
      case 'throws':
        assertCause(flight, step.error)
        count('faults')
        return after
      case 'returns':
        return judgeOutcome(after, flight, step.outcome)
    }
  }

  function judgeOutcome(world: World, flight: Flight, outcome: CallOutcome): World {
    if (flight.kind === 'revoke') {
      if (!outcome.ok) throw new Violation('I14', `a sign-out was refused as ${outcome.reason}`)
      if (isAlive(world) && !rolledBackSince(world, flight))
        throw new Violation('I14', 'a sign-out left the family alive')
      count('revoked')
      return world
    }
    if (outcome.ok) {
      if (!('refreshToken' in outcome)) throw new Violation('I2', 'a refresh was answered without a token')
      assertValidSuccess(world, flight, outcome)
      return world
    }
    const { reason } = outcome
    assertValidRejection(world, flight, reason)
    count(reason === 'reuse' || reason === 'lost' ? reason : 'refused')
    const isVerdict = reason === 'reuse' || reason === 'lost'
    return isVerdict && !isAlive(world) ? { ...world, verdict: true } : world
  }

  function assertValidSuccess(world: World, flight: Flight, { outcome, refreshToken }: Success): void {
    assertAuthorized(setup, flight)
    const { observed, writtenVerifier } = flight
    if (flight.afterVerdict && world.verdict)
      throw new Violation('I5', 'a request that began after the verdict was served')
    count(outcome)
    if (setup.core.rotation === 'never') {
      if (writtenVerifier === null) throw new Violation('I10', 'a renewal was promised that the store has not made')
      if (refreshToken !== flight.text) throw new Violation('I2', 'a renewal gave another token')
      return
    }
    if (writtenVerifier !== null) {
      noteToken(writtenVerifier, refreshToken)
      return
    }
    if (observed === null) throw new Violation('I1', 'a token was handed out without asking the store')
    const { position, revoked, expired } = observed
    if (revoked) throw new Violation('I5', 'a dead family got a token')
    if (expired) throw new Violation('I10', 'a family got a token after its end')
    if (position.kind !== 'spent')
      throw new Violation('I1', `a token that is ${position.kind} was exchanged for nothing`)
    if (position.isUsedUp) throw new Violation('I6', 'a predecessor succeeded after its successor had been used')
    const { link } = position
    const inTime = hasGrace(flight, link) && getArrival(flight) < link.appliedAt + graceMs
    if (!inTime && !isSameAttempt(flight, link))
      throw flight.kind === 'redeem'
        ? new Violation('I17', 'a code was good twice')
        : new Violation('I6', 'a bare predecessor succeeded after its window had closed')
    noteToken(link.verifier, refreshToken)
  }

  function noteToken(verifier: string, refreshToken: string): void {
    const other = lineage.noteToken(verifier, refreshToken)
    if (other !== null) throw new Violation('I2', 'one rotation was answered with two different tokens')
  }

  function assertValidRejection(world: World, flight: Flight, reason: string): void {
    const isEntitled = !flight.impersonates
    // A code that is over is refused before the store is asked, whoever brings it.
    if (flight.kind === 'redeem' && reason === 'expired' && world.now >= (world.code?.expiresAt ?? Infinity)) return
    if (!isEntitled && reason !== 'mismatch') throw new Violation('I11', `a pretender was told ${reason}`)
    if (isEntitled && reason === 'mismatch') throw new Violation('I3', 'the rightful client was taken for another')
    if (reason === 'mismatch') return
    const { observed } = flight
    if (observed === null) throw new Violation('I3', `an authentic token was refused as ${reason}`)
    const { position, revoked, expired } = observed
    switch (reason) {
      case 'revoked':
        // Also where this call's verdict came second: then the family is dead by somebody else's.
        if (!revoked && isAlive(world) && !rolledBackSince(world, flight))
          throw new Violation('I3', 'a living family was called revoked')
        if (!revoked && isLegitimate(flight, position))
          throw new Violation('I3', 'a rightful holder was taken for a thief')
        return
      case 'expired':
        if (!expired) throw new Violation('I3', 'a family was called expired before its end')
        return
      case 'reuse':
      case 'lost':
        if (revoked || expired) throw new Violation('I15', 'a dead family was ended again')
        if (isLegitimate(flight, position)) throw new Violation('I3', 'a rightful holder was taken for a thief')
        if (isAlive(world) && !rolledBackSince(world, flight))
          throw new Violation('I7', 'a verdict left the family alive')
        if (reason === 'lost' && position.kind !== 'severed')
          throw new Violation('I7', 'a theft was called a loss of the store')
        return
      default:
        throw new Violation('I3', `an authentic token was refused as ${reason}`)
    }
  }

  /** It is the current token, or a retry inside its window, or the store has forgotten its birth. */
  function isLegitimate(flight: Flight, position: ChainPosition): boolean {
    if (position.kind === 'current' || position.kind === 'ahead') return true
    if (position.kind === 'severed' || position.isUsedUp) return false
    const { link } = position
    return (hasGrace(flight, link) && getArrival(flight) < link.madeAt + graceMs) || isSameAttempt(flight, link)
  }

  /** The second use of a code by its owner cannot be told from the first by a thief; of attempts with keys, some can. */
  const hasGrace = ({ kind, key }: Flight, link: Link) =>
    kind === 'rotate' && graceMs > 0 && (setup.core.grace === 'any-attempt' || (key === null && link.key === null))

  return { carryOut, conclude, occasions }
}

type Success = Extract<RotateOutcome | RedeemOutcome, { ok: true }>

interface Exchange {
  readonly record: FamilyRecord
  readonly verifier: string
  readonly madeAt: number
  readonly position: ChainPosition
}

function isAlive({ record }: World): boolean {
  return record?.revocation === null
}

function getArrival({ call }: Flight): number {
  if (call === null) throw new Error('this flight has not arrived')
  return call.request.arrivedAt
}

function isSameAttempt(flight: Flight, link: Link): boolean {
  return flight.key !== null && flight.key === link.key && link.presented === flight.text
}

/** The store has lost what this flight wrote, or what it saw. */
function rolledBackSince(world: World, flight: Flight): boolean {
  return world.fallbacks > flight.fallbacks
}

function assertAuthorized(setup: Setup, flight: Flight): void {
  if (!flight.impersonates) return
  throw setup.core.confirmation === null
    ? new Violation('I11', 'another client changed the family')
    : new Violation('I16', 'a bound family was served without the proof of its key')
}

/** A fault is somebody's: injected here, or three others who each won a round. */
function assertCause({ faultInjected, swaps }: Flight, error: unknown): void {
  const code = error instanceof Error && 'code' in error ? error.code : String(error)
  if (faultInjected && (code === 'store_failed' || code === 'hook_failed')) return
  if (code === 'contended' && swaps >= 3) return
  throw new Violation('I12', `a call failed without a cause: ${String(code)}`)
}
