/** One committed rotation, as observed outside core: the presented token and the times. */
export interface Link {
  readonly verifier: string
  /** The presented token; null for the first link of a chain. */
  readonly presented: string | null
  /** The time of the command, and the time at which the store executed it. */
  readonly madeAt: number
  readonly appliedAt: number
  /** The Idempotency-Key of the request. */
  readonly key: string | null
}

/**
 * The origin of every token: the rotation that created it and the parent of that rotation. The same in all branches of
 * a search. Derived from store commands and responses, never from the code under test.
 */
export interface Lineage {
  /** The rotation that created a token; undefined for a token that was never issued. */
  findSource(text: string): string | undefined
  findLink(verifier: string): Link | undefined
  findParent(verifier: string): string | undefined
  /** Records a rotation. */
  noteLink(link: Link, parent: string | null): void
  /** Records the token of a response. Returns an earlier token of the same rotation if it differs, else null. */
  noteToken(verifier: string, text: string): string | null
  /** A short name for reports: `#2` is a token of generation 2, `#2'` another one of that generation. */
  describeToken(text: string): string
}

export function createLineage(): Lineage {
  const sources = new Map<string, string>()
  const issuedTokens = new Map<string, string>()
  const links = new Map<string, { link: Link; parent: string | null; generation: number }>()
  const names = new Map<string, string>()
  const named = new Map<number, number>()
  return {
    findSource: (text) => sources.get(text),
    findLink: (verifier) => links.get(verifier)?.link,
    findParent: (verifier) => links.get(verifier)?.parent ?? undefined,
    noteLink(link, parent) {
      if (links.has(link.verifier)) return
      const generation = parent === null ? 0 : (links.get(parent)?.generation ?? -1) + 1
      links.set(link.verifier, { link, parent, generation })
    },
    noteToken(verifier, text) {
      const before = issuedTokens.get(verifier)
      if (before !== undefined) return before === text ? null : before
      issuedTokens.set(verifier, text)
      sources.set(text, verifier)
      const generation = links.get(verifier)?.generation ?? 0
      const count = named.get(generation) ?? 0
      named.set(generation, count + 1)
      names.set(text, `#${String(generation)}${"'".repeat(count)}`)
      return null
    },
    describeToken: (text) => names.get(text) ?? 'a token that was never issued',
  }
}
