import { createAttemptKey } from './attempt.js'
import type { CallRequest, CoreCall, WorldCall, Reply, ResumableCore } from './core-call.js'
import type { Judge } from './judge.js'
import type { Lineage } from '../history/lineage.js'
import { type Budget, type Flight, type Holder, getPlace, type Setup, type World } from './world.js'

/** One possible next event. */
export interface Move {
  readonly words: () => string
  readonly make: () => Promise<World>
}

export interface Rules {
  readonly setup: Setup
  readonly core: ResumableCore
  readonly lineage: Lineage
  readonly judge: Judge
}

const MAX_STOLEN_TOKENS = 3

/** Lists all possible next events of a world, always in the same order. */
export function listMoves(rules: Rules, world: World): Move[] {
  return [
    ...world.flights.flatMap((flight) => flightMoves(rules, world, flight)),
    ...rules.setup.holders.flatMap((holder) => holderMoves(rules, world, holder)),
    ...worldMoves(rules, world),
  ]
}

function flightMoves(rules: Rules, world: World, flight: Flight): Move[] {
  const who = describeRequest(rules, flight)
  const moves: Move[] = []
  if (flight.phase === 'travels')
    moves.push({ words: () => `${who} arrives`, make: () => arrive(rules, without(world, flight), flight) })
  if (flight.phase === 'is in progress') moves.push(...servingMoves(rules, world, flight))
  if (flight.phase === 'has completed')
    moves.push({
      words: () => `the response reaches ${flight.holder}: ${describeResponse(flight)}`,
      make: async () => receive(without(world, flight), flight),
    })
  if (flight.awaited && world.remaining.losses > 0) {
    const rest = spend(world, 'losses')
    moves.push({ words: () => `${who} is lost`, make: async () => without(rest, flight) })
    if (flight.phase !== 'has completed')
      moves.push({
        words: () => `${flight.holder} stops waiting for ${who}, which continues`,
        make: async () => replace(rest, flight, { ...flight, awaited: false }),
      })
  }
  if (world.remaining.copies > 0 && flight.kind !== 'revoke' && hasCapacity(rules, world))
    moves.push({
      words: () => `the network duplicates ${who}`,
      make: async () => {
        const copy: Flight = { ...createCopy(spend(world, 'copies'), flight), awaited: false }
        return { ...spend(world, 'copies'), sent: world.sent + 1, flights: [...world.flights, copy] }
      },
    })
  return moves
}

function servingMoves(rules: Rules, world: World, flight: Flight): Move[] {
  const who = describeRequest(rules, flight)
  const { step } = getCall(flight)
  if (step.kind !== 'calls') return []
  const { worldCall } = step
  const moves: Move[] = [
    {
      words: () => `${describeCall(worldCall)} for ${who}${flight.repeating ? ', again' : ''}`,
      make: () => serve(rules, world, flight, { again: false }),
    },
  ]
  if (worldCall.method === 'prepare' || worldCall.method === 'accept') {
    if (world.remaining.faults > 0)
      moves.push({
        words: () => `the hook for ${who} fails`,
        make: () => fail(rules, spend(world, 'faults'), flight, { written: false }),
      })
    // The legacy system may delete a token as soon as a family exists.
    if (worldCall.method === 'accept' && world.record !== null)
      moves.push({
        words: () => `the legacy system has deleted the token of ${who}`,
        make: () => resumeWith(rules, world, flight, 'unknown'),
      })
    return moves
  }
  if (world.remaining.faults > 0) {
    const rest = spend(world, 'faults')
    moves.push({
      words: () => `the store fails before the ${worldCall.method} for ${who}`,
      make: () => fail(rules, rest, flight, { written: false }),
    })
    if (worldCall.method !== 'find')
      moves.push({
        words: () => `the store executes the ${worldCall.method} for ${who} and reports a failure`,
        make: () => fail(rules, rest, flight, { written: true }),
      })
  }
  if (world.remaining.repeats > 0 && !flight.repeating && worldCall.method !== 'find')
    moves.push({
      words: () => `${describeCall(worldCall)} for ${who}; the driver will send it again`,
      make: () => serve(rules, spend(world, 'repeats'), flight, { again: true }),
    })
  return moves
}

function holderMoves(rules: Rules, world: World, holder: Holder): Move[] {
  const { setup, lineage } = rules
  const waits = (who: Holder) => world.flights.some((flight) => flight.holder === who && flight.awaited)
  if (waits(holder) || !hasCapacity(rules, world)) return []
  // Tabs A and B behave the same, so that one of them is enough.
  if (holder === 'tab B' && !waits('tab A')) return []
  const place = getPlace(holder)
  const texts = place === null ? world.stolenTokens : [world.places[place]]
  return texts.flatMap((text) => {
    if (text === null) return []
    const moves: Move[] = []
    const send = (more: Partial<Pick<Flight, 'impersonates' | 'process'>>, how: string): void => {
      const flight = newFlight(setup, world, { holder, text, ...more })
      const words = `${holder} sends ${lineage.describeToken(text)}${flight.key === null ? '' : ' with its key'}${how}`
      moves.push({ words: () => words, make: () => arrive(rules, { ...world, sent: world.sent + 1 }, flight) })
      if (world.remaining.delays > 0)
        moves.push({
          words: () => `${words}; it is delayed`,
          make: async () => ({
            ...spend(world, 'delays'),
            sent: world.sent + 1,
            flights: [...world.flights, flight],
          }),
        })
    }
    for (let process = 0; process < setup.core.processes.length; process += 1)
      send({ process }, process === 0 ? '' : ` to process ${String(process)}`)
    if (holder === 'attacker' && setup.attackerImpersonates) send({ impersonates: true }, ' as another client')
    if (place === 'shared storage' && world.remaining.logouts > 0 && text !== world.code?.text)
      moves.push({
        words: () => `${holder} signs out with ${lineage.describeToken(text)}`,
        make: () => {
          const flight: Flight = { ...newFlight(setup, world, { holder, text }), kind: 'revoke' }
          return arrive(rules, { ...spend(world, 'logouts'), sent: world.sent + 1 }, flight)
        },
      })
    return moves
  })
}

function worldMoves({ setup, lineage }: Rules, world: World): Move[] {
  const moves: Move[] = []
  const shared = world.places['shared storage']
  if (world.remaining.clock > 0)
    for (const tick of setup.ticks)
      moves.push({
        words: () => `${String(tick / 1000)} s pass`,
        make: async () => ({ ...spend(world, 'clock'), now: world.now + tick }),
      })
  if (world.remaining.steals > 0 && shared !== null)
    moves.push({
      words: () => `the attacker copies ${lineage.describeToken(shared)}`,
      make: async () => ({
        ...spend(world, 'steals'),
        stolenTokens: [shared],
        stolenKey: setup.attackerCopiesKey ? createAttemptKey('shared storage', shared) : null,
      }),
    })
  if (world.remaining.rollbacks > 0)
    for (const [place, snapshot] of world.past.entries())
      moves.push({
        words: () => `the store loses its last ${place === 0 ? 'write' : '2 writes'}`,
        make: async () => ({
          ...spend(world, 'rollbacks'),
          ...snapshot,
          past: world.past.slice(place + 1),
          fallbacks: world.fallbacks + 1,
        }),
      })
  return moves
}

async function arrive(rules: Rules, world: World, flight: Flight): Promise<World> {
  const { setup, core } = rules
  const { kind, text, key, impersonates, process, seed } = flight
  const { confirmation } = setup.core
  const request: CallRequest = {
    kind,
    text,
    idempotencyKey: key,
    matches: !impersonates,
    clientId: impersonates && confirmation === null ? 'another' : 'first-party',
    confirmation: impersonates ? null : confirmation,
    confidential: setup.confidential,
    hasHook: setup.hasHook,
    process,
    arrivedAt: world.now,
    seed,
  }
  const call = await core.start(request)
  const { verdict: afterVerdict, fallbacks } = world
  const served: Flight = { ...flight, phase: 'is in progress', call, afterVerdict, fallbacks }
  return settle(rules, { ...world, flights: [...world.flights, served] }, served)
}

/** Executes the external call that a request waits for. */
async function serve(rules: Rules, world: World, flight: Flight, { again }: { again: boolean }): Promise<World> {
  const { worldCall, call } = getWorldCall(flight)
  if (worldCall.method === 'prepare' || worldCall.method === 'accept') return resumeWith(rules, world, flight, 'done')
  const done = rules.judge.carryOut(world, flight, worldCall)
  if (again) return replace(done.world, flight, { ...done.flight, repeating: true })
  const reply: Reply = { at: world.now, kind: 'record', record: done.world.record }
  const next: Flight = { ...done.flight, call: await rules.core.resume(call, reply), repeating: false }
  return settle(rules, replace(done.world, flight, next), next)
}

/** Resumes a request with a reply that does not come from the store. */
async function resumeWith(rules: Rules, world: World, flight: Flight, kind: 'done' | 'unknown'): Promise<World> {
  const next = { ...flight, call: await rules.core.resume(getCall(flight), { at: world.now, kind }) }
  return settle(rules, replace(world, flight, next), next)
}

async function fail(rules: Rules, world: World, flight: Flight, { written }: { written: boolean }): Promise<World> {
  const { worldCall, call } = getWorldCall(flight)
  const done =
    written && worldCall.method !== 'prepare' && worldCall.method !== 'accept'
      ? rules.judge.carryOut(world, flight, worldCall)
      : { world, flight }
  const next: Flight = {
    ...done.flight,
    call: await rules.core.resume(call, { at: world.now, kind: 'failure' }),
    faultInjected: true,
    repeating: false,
  }
  return settle(rules, replace(done.world, flight, next), next)
}

/** Judges a completed call. A response that is no longer awaited is dropped. */
function settle({ judge }: Rules, world: World, flight: Flight): World {
  if (getCall(flight).step.kind === 'calls') return world
  const judgeOutcome = judge.conclude(world, flight)
  return flight.awaited
    ? replace(judgeOutcome, flight, { ...flight, phase: 'has completed' })
    : without(judgeOutcome, flight)
}

/**
 * Applies the rules of the client to a response: update the storage if it still contains the presented token, else drop
 * the response.
 */
function receive(world: World, { holder, text, call, kind }: Flight): World {
  const step = call?.step
  if (step?.kind !== 'returns') return world
  const { outcome } = step
  const place = getPlace(holder)
  if (place === null) {
    if (!outcome.ok || !('refreshToken' in outcome) || world.stolenTokens.includes(outcome.refreshToken)) return world
    return { ...world, stolenTokens: [outcome.refreshToken, ...world.stolenTokens].slice(0, MAX_STOLEN_TOKENS) }
  }
  if (world.places[place] !== text) return world
  const next = outcome.ok && 'refreshToken' in outcome ? outcome.refreshToken : null
  return { ...world, places: { ...world.places, [place]: kind === 'revoke' ? null : next } }
}

function newFlight(
  { idempotencyKeys }: Pick<Setup, 'idempotencyKeys'>,
  world: World,
  { holder, text, ...more }: Pick<Flight, 'holder' | 'text'> & Partial<Pick<Flight, 'impersonates' | 'process'>>,
): Flight {
  const place = getPlace(holder)
  const ownKey = idempotencyKeys && place !== null ? createAttemptKey(place, text) : null
  return {
    holder,
    text,
    key: holder === 'attacker' ? world.stolenKey : ownKey,
    impersonates: false,
    kind: text === world.code?.text ? 'redeem' : 'rotate',
    process: 0,
    seed: `${holder} ${String(world.sent)} ${text}`,
    phase: 'travels',
    awaited: true,
    call: null,
    afterVerdict: false,
    faultInjected: false,
    repeating: false,
    observed: null,
    writtenVerifier: null,
    swaps: 0,
    ended: false,
    fallbacks: 0,
    ...more,
  }
}

/** Creates the same request as if it had just been sent. */
function createCopy(world: World, { holder, text, key, impersonates, process }: Flight): Flight {
  const fresh = newFlight({ idempotencyKeys: false }, world, { holder, text, impersonates, process })
  return { ...fresh, key }
}

function hasCapacity({ setup }: Rules, world: World): boolean {
  return world.flights.length < setup.maxInFlight
}

function spend(world: World, what: keyof Budget): World {
  return { ...world, remaining: { ...world.remaining, [what]: world.remaining[what] - 1 } }
}

function without(world: World, flight: Flight): World {
  return { ...world, flights: world.flights.filter((other) => other.seed !== flight.seed) }
}

function replace(world: World, flight: Flight, by: Flight): World {
  return { ...world, flights: world.flights.map((other) => (other.seed === flight.seed ? by : other)) }
}

function getCall({ call }: Flight): CoreCall {
  if (call === null) throw new Error('this request has not arrived')
  return call
}

function getWorldCall(flight: Flight): { worldCall: WorldCall; call: CoreCall } {
  const call = getCall(flight)
  if (call.step.kind !== 'calls') throw new Error('this request waits for no call')
  return { worldCall: call.step.worldCall, call }
}

function describeRequest({ lineage }: Rules, { holder, text, kind, awaited }: Flight): string {
  const what = kind === 'revoke' ? 'the sign-out' : lineage.describeToken(text)
  return awaited ? `${holder}'s ${what}` : `a stray ${what} of ${holder}`
}

function describeCall({ method }: WorldCall): string {
  switch (method) {
    case 'create':
      return 'the store creates'
    case 'accept':
      return 'the legacy system finds the token'
    case 'find':
      return 'the store reads'
    case 'rotate':
      return 'the store compares and swaps'
    case 'revoke':
      return 'the store revokes'
    case 'prepare':
      return 'the hook of the app runs'
  }
}

function describeResponse({ call }: Flight): string {
  const step = call?.step
  if (step?.kind === 'returns')
    return step.outcome.ok ? ('outcome' in step.outcome ? step.outcome.outcome : 'done') : step.outcome.reason
  return '503'
}
