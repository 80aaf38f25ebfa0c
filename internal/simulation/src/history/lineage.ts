/** One committed rotation, as seen from outside the core: who showed what, and when. */
export interface Link {
  readonly verifier: string
  /** The token that was presented for it; null for the first of all. */
  readonly presented: string | null
  /** When the command was made, and when the store carried it out. */
  readonly madeAt: number
  readonly appliedAt: number
  /** The Idempotency-Key that came with it. */
  readonly key: string | null
}

/**
 * What is known of tokens in every future alike: of which rotation each is the fruit, and from which that one sprang. It is
 * learnt from what was sent to the store and from what was answered, never from the code under test.
 */
export interface Lineage {
  /** The rotation that a token came from. Undefined for a token that was never handed out. */
  findSource(text: string): string | undefined
  findLink(verifier: string): Link | undefined
  findParent(verifier: string): string | undefined
  /** Notes a rotation. */
  noteLink(link: Link, parent: string | null): void
  /** Notes an answer; returns the token that the same rotation gave to somebody before, where it differs. */
  noteToken(verifier: string, text: string): string | null
  /** A short name for stories: `#2` is of the second generation, `#2'` another one of it. */
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
    describeToken: (text) => names.get(text) ?? 'a token that was never handed out',
  }
}
