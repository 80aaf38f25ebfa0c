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
  birthOf(text: string): string | undefined
  linkOf(verifier: string): Link | undefined
  parentOf(verifier: string): string | undefined
  /** Notes a rotation. */
  noteLink(link: Link, parent: string | null): void
  /** Notes an answer; returns the token that the same rotation gave to somebody before, where it differs. */
  noteAnswer(verifier: string, text: string): string | null
  /** A short name for stories: `#2` is of the second generation, `#2'` another one of it. */
  nameOf(text: string): string
}

export function createLineage(): Lineage {
  const births = new Map<string, string>()
  const answers = new Map<string, string>()
  const links = new Map<string, { link: Link; parent: string | null; generation: number }>()
  const names = new Map<string, string>()
  const named = new Map<number, number>()
  return {
    birthOf: (text) => births.get(text),
    linkOf: (verifier) => links.get(verifier)?.link,
    parentOf: (verifier) => links.get(verifier)?.parent ?? undefined,
    noteLink(link, parent) {
      if (links.has(link.verifier)) return
      const generation = parent === null ? 0 : (links.get(parent)?.generation ?? -1) + 1
      links.set(link.verifier, { link, parent, generation })
    },
    noteAnswer(verifier, text) {
      const before = answers.get(verifier)
      if (before !== undefined) return before === text ? null : before
      answers.set(verifier, text)
      births.set(text, verifier)
      const generation = links.get(verifier)?.generation ?? 0
      const count = named.get(generation) ?? 0
      named.set(generation, count + 1)
      names.set(text, `#${String(generation)}${"'".repeat(count)}`)
      return null
    },
    nameOf: (text) => names.get(text) ?? 'a token that was never handed out',
  }
}
