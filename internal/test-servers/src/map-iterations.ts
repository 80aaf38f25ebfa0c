const METHODS = ['keys', 'values', 'entries', Symbol.iterator] as const

/**
 * Counts how often `run`, which must be synchronous, starts to iterate a Map. Each time costs as much as the number of entries that were
 * deleted at its front.
 */
export function countMapIterations(run: () => void): number {
  let iterations = 0
  const restores = METHODS.map((name) => {
    const descriptor = Object.getOwnPropertyDescriptor(Map.prototype, name)
    if (descriptor === undefined) throw new Error(`Map has no method ${String(name)}`)
    const original: unknown = descriptor.value
    if (typeof original !== 'function') throw new Error(`Map has no method ${String(name)}`)
    Object.defineProperty(Map.prototype, name, {
      ...descriptor,
      value(this: unknown): unknown {
        iterations += 1
        return Reflect.apply(original, this, [])
      },
    })
    return () => Object.defineProperty(Map.prototype, name, descriptor)
  })
  try {
    run()
  } finally {
    for (const restore of restores) restore()
  }
  return iterations
}
