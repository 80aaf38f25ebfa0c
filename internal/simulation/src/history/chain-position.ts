import type { Lineage, Link } from './lineage.js'

/** Where a token stands by the history of what was committed. */
export type ChainPosition =
  /** Nobody has exchanged it, as far as the store remembers. */
  | { readonly kind: 'current' }
  /** It has been exchanged, by this link; `isUsedUp` when its successor has been as well. */
  | { readonly kind: 'spent'; readonly link: Link; readonly isUsedUp: boolean }
  /** The store forgot the one exchange that made it. */
  | { readonly kind: 'ahead' }
  /** The store forgot more than that, or has gone on without it. */
  | { readonly kind: 'severed' }

export function findPosition(chain: readonly Link[], lineage: Lineage, text: string): ChainPosition {
  const source = requireSource(lineage, text)
  const place = chain.findIndex(({ verifier }) => verifier === source)
  const successor = chain[place + 1]
  if (place === -1) return { kind: lineage.findParent(source) === chain.at(-1)?.verifier ? 'ahead' : 'severed' }
  if (successor === undefined) return { kind: 'current' }
  return { kind: 'spent', link: successor, isUsedUp: chain.length > place + 2 }
}

/** The rotation that a token came from. */
export function requireSource(lineage: Lineage, text: string): string {
  const source = lineage.findSource(text)
  if (source === undefined) throw new Error('nobody was ever given this token')
  return source
}

/**
 * The chain after an exchange. A heal brings back the rotation that the store had forgotten: the token that was shown is the proof
 * that there was one.
 */
export function extendChain(
  chain: readonly Link[],
  lineage: Lineage,
  { link, position, source }: { readonly link: Link; readonly position: ChainPosition; readonly source: string },
): readonly Link[] {
  const forgotten = position.kind === 'ahead' ? lineage.findLink(source) : undefined
  return [...chain, ...(forgotten === undefined ? [] : [forgotten]), link]
}
