import { keyOf } from './attempt.js'
import type { CallRequest, CoreCall, Question, Reply, ResumableCore } from './core-call.js'
import type { Judge } from './judge.js'
import type { Lineage } from '../history/lineage.js'
import { type Budget, type Flight, type Holder, placeOf, type Setup, type World } from './world.js'

/** One thing that may happen next. */
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

const MOST_HOARDED = 3

/** All that may happen next in a world, always in the same order. */
export function movesOf(rules: Rules, world: World): Move[] {
  return [
    ...world.flights.flatMap((flight) => flightMoves(rules, world, flight)),
    ...rules.setup.holders.flatMap((holder) => holderMoves(rules, world, holder)),
    ...worldMoves(rules, world),
  ]
}

function flightMoves(rules: Rules, world: World, flight: Flight): Move[] {
  const who = nameOf(rules, flight)
  const moves: Move[] = []
  if (flight.phase === 'travels')
    moves.push({ words: () => `${who} arrives`, make: () => arrive(rules, without(world, flight), flight) })
  if (flight.phase === 'is served') moves.push(...servingMoves(rules, world, flight))
  if (flight.phase === 'is answered')
    moves.push({
      words: () => `the answer reaches ${flight.holder}: ${answerIn(flight)}`,
      make: async () => receive(without(world, flight), flight),
    })
  if (flight.awaited && world.left.losses > 0) {
    const poorer = spend(world, 'losses')
    moves.push({ words: () => `${who} is lost on its way`, make: async () => without(poorer, flight) })
    if (flight.phase !== 'is answered')
      moves.push({
        words: () => `${flight.holder} waits no longer for ${who}, which goes on`,
        make: async () => replace(poorer, flight, { ...flight, awaited: false }),
      })
  }
  if (world.left.copies > 0 && flight.kind !== 'revoke' && hasRoom(rules, world))
    moves.push({
      words: () => `the network makes a copy of ${who}`,
      make: async () => {
        const copy: Flight = { ...departing(spend(world, 'copies'), flight), awaited: false }
        return { ...spend(world, 'copies'), sent: world.sent + 1, flights: [...world.flights, copy] }
      },
    })
  return moves
}

function servingMoves(rules: Rules, world: World, flight: Flight): Move[] {
  const who = nameOf(rules, flight)
  const { step } = demandCall(flight)
  if (step.kind !== 'asks') return []
  const { question } = step
  const moves: Move[] = [
    {
      words: () => `${verbOf(question)} for ${who}${flight.repeating ? ', again' : ''}`,
      make: () => serve(rules, world, flight, { again: false }),
    },
  ]
  if (question.method === 'prepare' || question.method === 'accept') {
    if (world.left.faults > 0)
      moves.push({
        words: () => `the app's work for ${who} fails`,
        make: () => fail(rules, spend(world, 'faults'), flight, { written: false }),
      })
    // It may forget a token as soon as a family stands for it.
    if (question.method === 'accept' && world.record !== null)
      moves.push({
        words: () => `the other system has forgotten the token of ${who}`,
        make: () => tell(rules, world, flight, 'unknown'),
      })
    return moves
  }
  if (world.left.faults > 0) {
    const poorer = spend(world, 'faults')
    moves.push({
      words: () => `the store fails before the ${question.method} for ${who}`,
      make: () => fail(rules, poorer, flight, { written: false }),
    })
    if (question.method !== 'find')
      moves.push({
        words: () => `the store carries out the ${question.method} for ${who} and fails to say so`,
        make: () => fail(rules, poorer, flight, { written: true }),
      })
  }
  if (world.left.repeats > 0 && !flight.repeating && question.method !== 'find')
    moves.push({
      words: () => `${verbOf(question)} for ${who}; the driver will send it once more`,
      make: () => serve(rules, spend(world, 'repeats'), flight, { again: true }),
    })
  return moves
}

function holderMoves(rules: Rules, world: World, holder: Holder): Move[] {
  const { setup, lineage } = rules
  const waits = (who: Holder) => world.flights.some((flight) => flight.holder === who && flight.awaited)
  if (waits(holder) || !hasRoom(rules, world)) return []
  // Of two tabs that are alike, one is enough.
  if (holder === 'tab B' && !waits('tab A')) return []
  const place = placeOf(holder)
  const texts = place === null ? world.hoard : [world.places[place]]
  return texts.flatMap((text) => {
    if (text === null) return []
    const moves: Move[] = []
    const send = (more: Partial<Pick<Flight, 'pretends' | 'process'>>, how: string): void => {
      const flight = newFlight(setup, world, { holder, text, ...more })
      const words = `${holder} sends ${lineage.nameOf(text)}${flight.key === null ? '' : ' with its key'}${how}`
      moves.push({ words: () => words, make: () => arrive(rules, { ...world, sent: world.sent + 1 }, flight) })
      if (world.left.delays > 0)
        moves.push({
          words: () => `${words}; it travels`,
          make: async () => ({
            ...spend(world, 'delays'),
            sent: world.sent + 1,
            flights: [...world.flights, flight],
          }),
        })
    }
    for (let process = 0; process < setup.core.processes.length; process += 1)
      send({ process }, process === 0 ? '' : ` to process ${String(process)}`)
    if (holder === 'thief' && setup.thiefPretends) send({ pretends: true }, ' as somebody else')
    if (place === 'shared storage' && world.left.logouts > 0 && text !== world.code?.text)
      moves.push({
        words: () => `${holder} signs out with ${lineage.nameOf(text)}`,
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
  if (world.left.clock > 0)
    for (const tick of setup.ticks)
      moves.push({
        words: () => `${String(tick / 1000)} s pass`,
        make: async () => ({ ...spend(world, 'clock'), now: world.now + tick }),
      })
  if (world.left.steals > 0 && shared !== null)
    moves.push({
      words: () => `the thief copies ${lineage.nameOf(shared)}`,
      make: async () => ({
        ...spend(world, 'steals'),
        hoard: [shared],
        stolenKey: setup.thiefCopiesKey ? keyOf('shared storage', shared) : null,
      }),
    })
  if (world.left.rollbacks > 0)
    for (const [place, snapshot] of world.past.entries())
      moves.push({
        words: () => `the store forgets its last ${place === 0 ? 'write' : '2 writes'}`,
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
  const { kind, text, key, pretends, process, seed } = flight
  const { confirmation } = setup.core
  const request: CallRequest = {
    kind,
    text,
    idempotencyKey: key,
    matches: !pretends,
    clientId: pretends && confirmation === null ? 'another' : 'first-party',
    confirmation: pretends ? null : confirmation,
    confidential: setup.confidential,
    prepares: setup.prepares,
    process,
    arrivedAt: world.now,
    seed,
  }
  const call = await core.start(request)
  const { verdict: afterVerdict, fallbacks } = world
  const served: Flight = { ...flight, phase: 'is served', call, afterVerdict, fallbacks }
  return settle(rules, { ...world, flights: [...world.flights, served] }, served)
}

/** Answers the question that a flight waits with. */
async function serve(rules: Rules, world: World, flight: Flight, { again }: { again: boolean }): Promise<World> {
  const { question, call } = demandQuestion(flight)
  if (question.method === 'prepare' || question.method === 'accept') return tell(rules, world, flight, 'done')
  const done = rules.judge.carryOut(world, flight, question)
  if (again) return replace(done.world, flight, { ...done.flight, repeating: true })
  const reply: Reply = { at: world.now, kind: 'record', record: done.world.record }
  const next: Flight = { ...done.flight, call: await rules.core.resume(call, reply), repeating: false }
  return settle(rules, replace(done.world, flight, next), next)
}

/** The answer of somebody else than the store. */
async function tell(rules: Rules, world: World, flight: Flight, kind: 'done' | 'unknown'): Promise<World> {
  const next = { ...flight, call: await rules.core.resume(demandCall(flight), { at: world.now, kind }) }
  return settle(rules, replace(world, flight, next), next)
}

async function fail(rules: Rules, world: World, flight: Flight, { written }: { written: boolean }): Promise<World> {
  const { question, call } = demandQuestion(flight)
  const done =
    written && question.method !== 'prepare' && question.method !== 'accept'
      ? rules.judge.carryOut(world, flight, question)
      : { world, flight }
  const next: Flight = {
    ...done.flight,
    call: await rules.core.resume(call, { at: world.now, kind: 'failure' }),
    hurt: true,
    repeating: false,
  }
  return settle(rules, replace(done.world, flight, next), next)
}

/** Has a flight judged that the core is done with; nobody waits for the answer of one that was given up. */
function settle({ judge }: Rules, world: World, flight: Flight): World {
  if (demandCall(flight).step.kind === 'asks') return world
  const judged = judge.conclude(world, flight)
  return flight.awaited ? replace(judged, flight, { ...flight, phase: 'is answered' }) : without(judged, flight)
}

/** What the client's own rules make of an answer: commit what was meant for the token that is still there, drop the rest. */
function receive(world: World, { holder, text, call, kind }: Flight): World {
  const step = call?.step
  if (step?.kind !== 'answers') return world
  const { outcome } = step
  const place = placeOf(holder)
  if (place === null) {
    if (!outcome.ok || !('refreshToken' in outcome) || world.hoard.includes(outcome.refreshToken)) return world
    return { ...world, hoard: [outcome.refreshToken, ...world.hoard].slice(0, MOST_HOARDED) }
  }
  if (world.places[place] !== text) return world
  const next = outcome.ok && 'refreshToken' in outcome ? outcome.refreshToken : null
  return { ...world, places: { ...world.places, [place]: kind === 'revoke' ? null : next } }
}

function newFlight(
  { idempotencyKeys }: Pick<Setup, 'idempotencyKeys'>,
  world: World,
  { holder, text, ...more }: Pick<Flight, 'holder' | 'text'> & Partial<Pick<Flight, 'pretends' | 'process'>>,
): Flight {
  const place = placeOf(holder)
  const ownKey = idempotencyKeys && place !== null ? keyOf(place, text) : null
  return {
    holder,
    text,
    key: holder === 'thief' ? world.stolenKey : ownKey,
    pretends: false,
    kind: text === world.code?.text ? 'redeem' : 'rotate',
    process: 0,
    seed: `${holder} ${String(world.sent)} ${text}`,
    phase: 'travels',
    awaited: true,
    call: null,
    afterVerdict: false,
    hurt: false,
    repeating: false,
    sight: null,
    wrote: null,
    swaps: 0,
    ended: false,
    fallbacks: 0,
    ...more,
  }
}

/** The same request, as if it had only just been sent. */
function departing(world: World, { holder, text, key, pretends, process }: Flight): Flight {
  const fresh = newFlight({ idempotencyKeys: false }, world, { holder, text, pretends, process })
  return { ...fresh, key }
}

function hasRoom({ setup }: Rules, world: World): boolean {
  return world.flights.length < setup.mostInFlight
}

function spend(world: World, what: keyof Budget): World {
  return { ...world, left: { ...world.left, [what]: world.left[what] - 1 } }
}

function without(world: World, flight: Flight): World {
  return { ...world, flights: world.flights.filter((other) => other.seed !== flight.seed) }
}

function replace(world: World, flight: Flight, by: Flight): World {
  return { ...world, flights: world.flights.map((other) => (other.seed === flight.seed ? by : other)) }
}

function demandCall({ call }: Flight): CoreCall {
  if (call === null) throw new Error('this flight has not arrived')
  return call
}

function demandQuestion(flight: Flight): { question: Question; call: CoreCall } {
  const call = demandCall(flight)
  if (call.step.kind !== 'asks') throw new Error('this flight asks for nothing')
  return { question: call.step.question, call }
}

function nameOf({ lineage }: Rules, { holder, text, kind, awaited }: Flight): string {
  const what = kind === 'revoke' ? 'the sign-out' : lineage.nameOf(text)
  return awaited ? `${holder}'s ${what}` : `a stray ${what} of ${holder}`
}

function verbOf({ method }: Question): string {
  switch (method) {
    case 'create':
      return 'the store creates'
    case 'accept':
      return 'the other system knows the token'
    case 'find':
      return 'the store reads'
    case 'rotate':
      return 'the store compares and swaps'
    case 'revoke':
      return 'the store revokes'
    case 'prepare':
      return 'the app does its work'
  }
}

function answerIn({ call }: Flight): string {
  const step = call?.step
  if (step?.kind === 'answers')
    return step.outcome.ok ? ('outcome' in step.outcome ? step.outcome.outcome : 'done') : step.outcome.reason
  return '503'
}
