import { randomBytes } from 'node:crypto'

const VALUES_PER_DRAW = 128

/**
 * Returns a function that returns `size` random bytes. Not for secrets: many values are generated at once and stay in memory until they are
 * used. The next call may overwrite the returned bytes. A `randomBytes` for each value makes a rotation 8 % slower (decisions/018).
 */
export function createRandomPool(size: number): () => Buffer {
  let drawn = Buffer.alloc(0)
  let used = 0
  return () => {
    if (used === drawn.length) {
      drawn = randomBytes(VALUES_PER_DRAW * size)
      used = 0
    }
    used += size
    return drawn.subarray(used - size, used)
  }
}
