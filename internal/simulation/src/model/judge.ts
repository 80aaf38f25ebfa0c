import type { FamilyRecord, MintOutcome, RedeemOutcome, RotateOutcome } from '@baton/core'
import type { CallOutcome } from './core-call.js'
import type { Lineage, Link } from '../history/lineage.js'
import { requireSource, extendChain, type ChainPosition, findPosition } from '../history/chain-position.js'
import { Violation } from '../history/violation.js'
import type { Flight, Setup, World } from './world.js'
import { applyTo, type ModelStore, type StoreCall } from './store.js'

/** Counted outcomes. A search without a heal, for example, says nothing about heals. */
export type Occasion = MintOutcome | 'issued' | 'reuse' | 'rollback' | 'refused' | 'faults' | 'revoked'

export interface Judge {
  /** Executes a store call of `flight`. Returns the new world and the flight with its observations. */
  carryOut(world: World, flight: Flight, call: StoreCall): { world: World; flight: Flight }
  /**
   * Checks the completed call of `flight` and returns the new world. Throws a `Violation` for a response that history
   * does not justify.
   */
  conclude(world: World, flight: Flight): World
  readonly occasions: ReadonlyMap<Occasion, number>
}

/**
 * Judges by history only: which tokens were issued, presented and exchanged, and when. It uses neither generations nor
 * the contents of verifiers nor the decision table, so that an error there cannot hide itself.
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
      // Writes that the store has lost do not count.
      writtenVerifier: world.chain.some(({ verifier }) => verifier === flight.writtenVerifier)
        ? flight.writtenVerifier
        : null,
    }
    if (call.method === 'find' || record === null || record === before) return { world, flight: seen }

    assertAuthorized(setup, flight)
    if (before?.revocation != null) throw new Violation('I5', 'a revoked family was changed')
    if (record.expiresAt > record.lifetime.absoluteExpiresAt)
      throw new Violation('I10', 'the idle expiry is later than the absolute expiry')
    if (call.method === 'create') {
      if (world.code !== null && getArrival(flight) >= world.code.expiresAt)
        throw new Violation('I17', 'an expired code created a family')
      const { verifier, rotatedAt: madeAt } = call.record.current
      return applyExchange(world, seen, { record, verifier, madeAt, position })
    }
    const { next, now: madeAt } = call.command
    if (before !== null && madeAt >= before.expiresAt) throw new Violation('I10', 'an expired family was rotated')
    if (next === null) {
      if (position.kind !== 'current') throw new Violation('I1', `a token in position "${position.kind}" was renewed`)
      return { world: updateWorld(world, { record }), flight: { ...seen, writtenVerifier: record.current.verifier } }
    }
    if (setup.core.rotation === 'never') throw new Violation('I4', 'a token rotated although rotation is off')
    return applyExchange(world, seen, { record, verifier: next.verifier, madeAt, position })
  }

  /** Records an exchange that the store has executed. */
  function applyExchange(
    world: World,
    flight: Flight,
    { record, verifier, madeAt, position }: Exchange,
  ): { world: World; flight: Flight } {
    if (position.kind !== 'current' && position.kind !== 'ahead')
      throw flight.kind === 'redeem'
        ? new Violation('I17', 'one code created two families')
        : new Violation('I1', `a token in position "${position.kind}" was exchanged, which creates a second successor`)
    const { text, key } = flight
    const link: Link = { verifier, presented: text, madeAt, appliedAt: world.now, key }
    const source = requireSource(lineage, text)
    lineage.noteLink(link, source)
    const chain = extendChain(world.chain, lineage, { link, position, source })
    // The chain of a code starts with the code itself.
    const rotations = chain.length - (world.code === null ? 1 : 2)
    const { generation, nonce, verifier: stored, retryKey } = record.current
    if (generation !== rotations)
      throw new Violation('I4', `the generation is ${String(generation)} after ${String(rotations)} rotations`)
    for (const hash of [nonce, stored, retryKey ?? '', record.id]) {
      if (hash.length >= 32) throw new Violation('I13', 'the record contains more than hashes')
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
    if (call === null) throw new Error('this request has not arrived')
    const { step, events } = call
    const reports = events.filter((event) => event.type === 'reuse' || event.type === 'revoked')
    const isConfirmed = reports.some(({ unconfirmed }) => unconfirmed !== true)
    if (isConfirmed && world.reported) throw new Violation('I15', 'one revocation was reported twice')
    if (reports.length > 1) throw new Violation('I15', 'one call reported two revocations')
    if (flight.ended && reports.length === 0) throw new Violation('I19', 'a revocation was not reported')
    if (!flight.faultInjected && reports.length > 0 && !isConfirmed)
      throw new Violation('I19', 'a confirmed revocation was reported as unconfirmed')
    const after = isConfirmed ? { ...world, reported: true } : world
    switch (step.kind) {
      case 'calls':
        throw new Error('this request waits for the store')
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
      if (!outcome.ok) throw new Violation('I14', `a sign-out was rejected as ${outcome.reason}`)
      if (isAlive(world) && !rolledBackSince(world, flight))
        throw new Violation('I14', 'the family is not revoked after a sign-out')
      count('revoked')
      return world
    }
    if (outcome.ok) {
      if (!('refreshToken' in outcome)) throw new Violation('I2', 'a refresh succeeded without a token')
      assertValidSuccess(world, flight, outcome)
      return world
    }
    const { reason } = outcome
    assertValidRejection(world, flight, reason)
    count(reason === 'reuse' || reason === 'rollback' ? reason : 'refused')
    const isVerdict = reason === 'reuse' || reason === 'rollback'
    return isVerdict && !isAlive(world) ? { ...world, verdict: true } : world
  }

  function assertValidSuccess(world: World, flight: Flight, { outcome, refreshToken }: Success): void {
    assertAuthorized(setup, flight)
    const { observed, writtenVerifier } = flight
    if (flight.afterVerdict && world.verdict)
      throw new Violation('I5', 'a request that arrived after the reuse verdict succeeded')
    count(outcome)
    if (setup.core.rotation === 'never') {
      if (writtenVerifier === null) throw new Violation('I10', 'a renewal succeeded that the store has not written')
      if (refreshToken !== flight.text) throw new Violation('I2', 'a renewal returned another token')
      return
    }
    if (writtenVerifier !== null) {
      noteToken(writtenVerifier, refreshToken)
      return
    }
    if (observed === null) throw new Violation('I1', 'a token was issued without a store call')
    const { position, revoked, expired } = observed
    if (revoked) throw new Violation('I5', 'a revoked family received a token')
    if (expired) throw new Violation('I10', 'an expired family received a token')
    if (position.kind !== 'spent')
      throw new Violation('I1', `a token in position "${position.kind}" received a token without an exchange`)
    if (position.isUsedUp) throw new Violation('I6', 'a predecessor succeeded after its successor had been used')
    const { link } = position
    const inTime = hasGrace(flight, link) && getArrival(flight) < link.appliedAt + graceMs
    if (!inTime && !isSameAttempt(flight, link))
      throw flight.kind === 'redeem'
        ? new Violation('I17', 'a code was redeemed twice')
        : new Violation('I6', 'a predecessor without a key succeeded after its window had closed')
    noteToken(link.verifier, refreshToken)
  }

  function noteToken(verifier: string, refreshToken: string): void {
    const other = lineage.noteToken(verifier, refreshToken)
    if (other !== null) throw new Violation('I2', 'one rotation returned two different tokens')
  }

  function assertValidRejection(world: World, flight: Flight, reason: string): void {
    const isEntitled = !flight.impersonates
    // An expired code is rejected before the store is called, for any client.
    if (flight.kind === 'redeem' && reason === 'expired' && world.now >= (world.code?.expiresAt ?? Infinity)) return
    if (!isEntitled && reason !== 'mismatch')
      throw new Violation('I11', `an unauthorized client received the reason ${reason}`)
    if (isEntitled && reason === 'mismatch')
      throw new Violation('I3', 'the legitimate client received the reason mismatch')
    if (reason === 'mismatch') return
    const { observed } = flight
    if (observed === null) throw new Violation('I3', `an authentic token was rejected as ${reason}`)
    const { position, revoked, expired } = observed
    switch (reason) {
      case 'revoked':
        // Also if another call has revoked the family first.
        if (!revoked && isAlive(world) && !rolledBackSince(world, flight))
          throw new Violation('I3', 'an active family was reported as revoked')
        if (!revoked && isLegitimate(flight, position)) throw new Violation('I3', 'the legitimate holder was rejected')
        return
      case 'expired':
        if (!expired) throw new Violation('I3', 'a family was reported as expired before its expiry')
        return
      case 'reuse':
      case 'rollback':
        if (revoked || expired) throw new Violation('I15', 'a revoked family was revoked again')
        if (isLegitimate(flight, position)) throw new Violation('I3', 'the legitimate holder was rejected')
        if (isAlive(world) && !rolledBackSince(world, flight))
          throw new Violation('I7', 'the family is not revoked after a reuse verdict')
        if (reason === 'rollback' && position.kind !== 'severed')
          throw new Violation('I7', 'a reuse was reported as lost')
        return
      default:
        throw new Violation('I3', `an authentic token was rejected as ${reason}`)
    }
  }

  /**
   * Returns true for the current token, for a retry within its window, and for a token whose creation the store has
   * lost.
   */
  function isLegitimate(flight: Flight, position: ChainPosition): boolean {
    if (position.kind === 'current' || position.kind === 'ahead') return true
    if (position.kind === 'severed' || position.isUsedUp) return false
    const { link } = position
    return (hasGrace(flight, link) && getArrival(flight) < link.madeAt + graceMs) || isSameAttempt(flight, link)
  }

  /**
   * A second use of a code cannot be attributed to its owner or an attacker. Attempts with keys can be distinguished.
   */
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
  if (call === null) throw new Error('this request has not arrived')
  return call.request.arrivedAt
}

function isSameAttempt(flight: Flight, link: Link): boolean {
  return flight.key !== null && flight.key === link.key && link.presented === flight.text
}

/** The store has lost what this request wrote or read. */
function rolledBackSince(world: World, flight: Flight): boolean {
  return world.fallbacks > flight.fallbacks
}

function assertAuthorized(setup: Setup, flight: Flight): void {
  if (!flight.impersonates) return
  throw setup.core.confirmation === null
    ? new Violation('I11', 'another client changed the family')
    : new Violation('I16', 'a key-bound family was changed without a proof of its key')
}

/** Every failure has a cause: an injected fault, or three lost swaps. */
function assertCause({ faultInjected, swaps }: Flight, error: unknown): void {
  const code = error instanceof Error && 'code' in error ? error.code : String(error)
  if (faultInjected && (code === 'store_failed' || code === 'hook_failed')) return
  if (code === 'contended' && swaps >= 3) return
  throw new Violation('I12', `a call failed without a cause: ${String(code)}`)
}
