import { createHash } from 'node:crypto'

/** A random number generator that is determined by its name. */
export interface Rng {
  /** Returns a number from 0 up to but not including 1. */
  fraction(): number
  /** Returns an integer from `least` to `most`, both included. */
  between(least: number, most: number): number
  /** Returns true with this probability, from 0 to 1. */
  chance(likelihood: number): boolean
  pick<const Item>(items: readonly [Item, ...Item[]]): Item
  bytes(size: number): Uint8Array
  text(): string
}

/** Creates a generator (sfc32). It is fast, repeatable and not for cryptographic use. */
export function createRng(name: string): Rng {
  const seed = createHash('sha256').update(name).digest()
  let [a, b, c, d] = [seed.readInt32LE(0), seed.readInt32LE(4), seed.readInt32LE(8), seed.readInt32LE(12)]

  function word(): number {
    const sum = (a + b + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + sum) | 0
    return sum >>> 0
  }

  const fraction = () => word() / 2 ** 32
  const between = (least: number, most: number) => least + Math.floor(fraction() * (most - least + 1))
  function bytes(size: number): Uint8Array {
    const drawn = new Uint8Array(size)
    for (let place = 0; place < size; place += 1) drawn[place] = word()
    return drawn
  }
  return {
    fraction,
    between,
    bytes,
    chance: (likelihood) => fraction() < likelihood,
    pick: (items) => items[between(0, items.length - 1)] ?? items[0],
    text: () => Buffer.from(bytes(18)).toString('base64url'),
  }
}
