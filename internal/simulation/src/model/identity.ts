import type { FamilyRecord } from '@baton/core'
import type { CoreCall, WorldCall, Reply } from './core-call.js'
import type { Lineage } from '../history/lineage.js'
import type { ChainPosition } from '../history/chain-position.js'
import { parseAttemptKey } from './attempt.js'
import { type Flight, getPlace, type Snapshot, type World } from './world.js'

/** Larger distances are treated as equal: no event in these worlds can bring such a token back into reach. */
const FAR = 4

/**
 * Returns the same text for worlds with the same possible futures. Names of tokens and nonces, absolute times and
 * absolute generations do not matter: tokens are numbered in order of appearance, and times are relative to now.
 */
export function canonicalForm(world: World, lineage: Lineage): string {
  const { now, chain, flights, remaining } = world
  const names = new Map<string, string>()
  const places = new Map(chain.map(({ verifier }, place) => [verifier, place]))

  /** Names a rotation; the first mention includes its position in the chain. */
  function rotation(verifier: string | null | undefined, depth = 0): string {
    if (verifier === null || verifier === undefined) return '-'
    const known = names.get(verifier)
    if (known !== undefined) return known
    const name = String(names.size)
    names.set(verifier, name)
    const place = places.get(verifier)
    if (place !== undefined) {
      const distance = chain.length - 1 - place
      return distance >= FAR ? `${name}@old` : `${name}@${String(distance)}`
    }
    if (lineage.findLink(verifier) === undefined || depth > FAR) return `${name}@new`
    // Not in this chain: its lost parents decide whether it can be healed.
    return `${name}<${rotation(lineage.findParent(verifier), depth + 1)}`
  }
  const token = (text: string | null) => (text === null ? '-' : rotation(lineage.findSource(text)))
  const attempt = (key: string | null) => {
    if (key === null) return ''
    const { place, text } = parseAttemptKey(key)
    return `${place} ${token(text)}`
  }
  const since = (instant: number) => String(now - instant)
  const record = (stored: FamilyRecord | null) => {
    if (stored === null) return 'none'
    const { current, expiresAt, revocation } = stored
    const { verifier, rotatedAt, retryKey } = current
    return [
      rotation(verifier),
      since(rotatedAt),
      since(expiresAt),
      revocation === null ? 'alive' : 'dead',
      retryKey === null ? '' : 'k',
    ].join()
  }
  const snapshot = (state: Snapshot) =>
    [record(state.record), state.verdict, state.reported, state.chain.length - chain.length].join()
  const recentLinks = () =>
    chain
      .slice(-FAR)
      .map((link) =>
        [
          rotation(link.verifier),
          token(link.presented),
          since(link.madeAt),
          since(link.appliedAt),
          attempt(link.key),
        ].join(),
      )

  function describeReply(reply: Reply): string {
    const what = reply.kind === 'record' ? record(reply.record) : reply.kind
    return `${since(reply.at)}:${what}`
  }

  function intent(worldCall: WorldCall): string {
    if (worldCall.method === 'create') return rotation(worldCall.record.current.verifier)
    if (worldCall.method !== 'rotate') return ''
    return [rotation(worldCall.command.expect), rotation(worldCall.command.next?.verifier)].join()
  }

  function progress(call: CoreCall | null): string {
    if (call === null) return '-'
    const { step, replies, request } = call
    const asks = step.kind !== 'calls' ? step.kind : step.worldCall.method
    const swap = step.kind === 'calls' ? intent(step.worldCall) : ''
    const answer =
      step.kind !== 'returns'
        ? ''
        : !step.outcome.ok
          ? step.outcome.reason
          : 'refreshToken' in step.outcome
            ? token(step.outcome.refreshToken)
            : 'ok'
    // The replies that led to a completed call do not matter any more.
    const history = step.kind === 'calls' ? replies.map(describeReply).join(';') : ''
    return [asks, swap, answer, since(request.arrivedAt), history].join('/')
  }

  const position = (where: ChainPosition) =>
    where.kind === 'spent' ? `spent ${rotation(where.link.verifier)} ${String(where.isUsedUp)}` : where.kind

  function flightText(flight: Flight): string {
    const { observed, phase } = flight
    // Tabs A and B only differ in their name: they share their storage.
    const head = [getPlace(flight.holder), flight.kind, phase, flight.awaited, flight.impersonates, flight.process]
    const callWorld = [token(flight.text), attempt(flight.key)]
    if (phase === 'has completed') return [...head, ...callWorld, progress(flight.call)].join()
    return [
      ...head,
      ...callWorld,
      flight.afterVerdict,
      flight.faultInjected,
      flight.repeating,
      flight.swaps,
      flight.ended,
      flight.fallbacks - world.fallbacks,
      rotation(flight.writtenVerifier),
      observed === null ? '-' : [position(observed.position), observed.revoked, observed.expired].join(),
      progress(flight.call),
    ].join()
  }

  return [
    Object.values(remaining).join(),
    // Once the code has expired, the time since then does not matter.
    world.code === null ? '' : String(Math.min(now - world.code.expiresAt, 0)),
    snapshot(world),
    ...recentLinks(),
    ...world.past.map(snapshot),
    ...Object.values(world.places).map(token),
    ...world.stolenTokens.map(token),
    attempt(world.stolenKey),
    ...flights.map(flightText).sort(),
  ].join('|')
}
