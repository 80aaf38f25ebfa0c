import type { Lineage, Link } from './lineage.js'

/** The position of a token in the chain of committed rotations. */
export type ChainPosition =
  /** The store has no exchange of this token. */
  | { readonly kind: 'current' }
  /** This link exchanged the token. `isUsedUp` is true if the successor has been exchanged as well. */
  | { readonly kind: 'spent'; readonly link: Link; readonly isUsedUp: boolean }
  /** The store has lost only the exchange that created this token. */
  | { readonly kind: 'ahead' }
  /** The store has lost more than one exchange, or has committed other exchanges since. */
  | { readonly kind: 'severed' }

export function findPosition(chain: readonly Link[], lineage: Lineage, text: string): ChainPosition {
  const source = requireSource(lineage, text)
  const place = chain.findIndex(({ verifier }) => verifier === source)
  const successor = chain[place + 1]
  if (place === -1) return { kind: lineage.findParent(source) === chain.at(-1)?.verifier ? 'ahead' : 'severed' }
  if (successor === undefined) return { kind: 'current' }
  return { kind: 'spent', link: successor, isUsedUp: chain.length > place + 2 }
}

/** Returns the rotation that created a token. */
export function requireSource(lineage: Lineage, text: string): string {
  const source = lineage.findSource(text)
  if (source === undefined) throw new Error('this token was never issued')
  return source
}

/**
 * Returns the chain after an exchange. A heal restores the rotation that the store had lost: the presented token proves
 * that it happened.
 */
export function extendChain(
  chain: readonly Link[],
  lineage: Lineage,
  { link, position, source }: { readonly link: Link; readonly position: ChainPosition; readonly source: string },
): readonly Link[] {
  const forgotten = position.kind === 'ahead' ? lineage.findLink(source) : undefined
  return [...chain, ...(forgotten === undefined ? [] : [forgotten]), link]
}
