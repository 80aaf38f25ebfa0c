import { createHash } from 'node:crypto'

/** Pseudo-random choices. The same seed gives the same choices in the same order. */
export interface Choices {
  /** A whole number from 0 to `count` - 1. */
  below(count: number): number
  oneOf<Item>(items: readonly [Item, ...Item[]]): Item
}

export function choicesOf(seed: string): Choices {
  let block = Buffer.alloc(0)
  let blocks = 0
  function below(count: number): number {
    if (block.length === 0)
      block = createHash('sha256')
        .update(`${seed}/${String((blocks += 1))}`)
        .digest()
    const drawn = block.readUInt32BE()
    block = block.subarray(4)
    return drawn % count
  }
  return { below, oneOf: (items) => items[below(items.length)] ?? items[0] }
}
