import { randomBytes } from 'node:crypto'

const AT_ONCE = 128

/**
 * Makes values of `size` random bytes of which none comes twice. Not for secrets: they are drawn many at a time, because each draw
 * has its price, and wait in memory until they are used. Good until the next call.
 */
export function freshBytes(size: number): () => Buffer {
  let drawn = Buffer.alloc(0)
  let used = 0
  return () => {
    if (used === drawn.length) {
      drawn = randomBytes(AT_ONCE * size)
      used = 0
    }
    used += size
    return drawn.subarray(used - size, used)
  }
}
