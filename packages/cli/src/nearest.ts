const MOST_SLIPS = 2

/** The word that was probably meant, or null. */
export function nearest(word: string, known: readonly string[]): string | null {
  const ranked = known
    .map((candidate) => ({ candidate, slips: slipsBetween(word, candidate) }))
    .sort((one, other) => one.slips - other.slips)
  const [best] = ranked
  return best !== undefined && best.slips <= MOST_SLIPS && best.slips < best.candidate.length ? best.candidate : null
}

/** How many letters have to be put in, left out or changed. */
function slipsBetween(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (const [index, letter] of Array.from(one).entries()) {
    const next = [index + 1]
    for (const [at, otherLetter] of Array.from(other).entries()) {
      const [left = 0, above = 0, diagonal = 0] = [next[at], row[at + 1], row[at]]
      next.push(Math.min(left + 1, above + 1, diagonal + (letter === otherLetter ? 0 : 1)))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
