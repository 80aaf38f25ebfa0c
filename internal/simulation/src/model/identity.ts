import type { FamilyRecord } from '@baton/core'
import type { CoreCall, WorldCall, Reply } from './core-call.js'
import type { Lineage } from '../history/lineage.js'
import type { ChainPosition } from '../history/chain-position.js'
import { parseAttemptKey } from './attempt.js'
import { type Flight, getPlace, type Snapshot, type World } from './world.js'

/** Distances beyond this look alike: nothing in these worlds can bring them back within reach. */
const FAR = 4

/**
 * The same text for worlds whose futures are the same. Names of tokens and nonces, absolute times and absolute generations do not
 * matter to any of them: tokens are named in the order in which they are met here, and the rest is counted from now.
 */
export function canonicalForm(world: World, lineage: Lineage): string {
  const { now, chain, flights, remaining } = world
  const names = new Map<string, string>()
  const places = new Map(chain.map(({ verifier }, place) => [verifier, place]))

  /** Names a rotation, at first sight with its place in history. */
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
    // Not in this history: its forgotten parents decide whether it can be healed.
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
    // What has been answered does not depend on how it came about.
    const history = step.kind === 'calls' ? replies.map(describeReply).join(';') : ''
    return [asks, swap, answer, since(request.arrivedAt), history].join('/')
  }

  const position = (where: ChainPosition) =>
    where.kind === 'spent' ? `spent ${rotation(where.link.verifier)} ${String(where.isUsedUp)}` : where.kind

  function flightText(flight: Flight): string {
    const { observed, phase } = flight
    // Tabs A and B have nothing but their storage, and share that.
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
    // Once it is over, it does not matter for how long.
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
