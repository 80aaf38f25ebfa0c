import type { Rng } from '../simulate/rng.js'

const TOKENS = [
  '%',
  '%00',
  '%zz',
  '&',
  '=',
  '+',
  ';',
  '"',
  ',',
  '.',
  ' ',
  '\0',
  '\r\n',
  '[]',
  '__proto__',
  'é',
  '\u{1f600}',
  '{',
  '}',
  'null',
]

/** Changes a well-formed input in one to four places. */
export function mutate(input: Uint8Array, others: readonly Uint8Array[], rng: Rng): Uint8Array {
  let bytes: Buffer = Buffer.from(input)
  for (let count = rng.between(1, 4); count > 0; count -= 1) bytes = mutateOnce(bytes, others, rng)
  return bytes
}

function mutateOnce(bytes: Buffer, others: readonly Uint8Array[], rng: Rng): Buffer {
  const at = rng.between(0, bytes.length)
  const to = rng.between(at, Math.min(bytes.length, at + 20))
  const [head, middle, tail] = [bytes.subarray(0, at), bytes.subarray(at, to), bytes.subarray(to)]
  switch (rng.between(0, 6)) {
    case 0:
      return Buffer.concat([head, tail])
    case 1:
      return Buffer.concat([head, middle, middle, tail])
    case 2:
      return Buffer.concat([head, Buffer.from(rng.pick(TOKENS as [string, ...string[]])), tail])
    case 3:
      return Buffer.concat([head, Buffer.from(rng.bytes(rng.between(1, 8))), tail])
    case 4:
      return Buffer.concat([head, (others[rng.between(0, others.length - 1)] ?? bytes).subarray(at)])
    case 5:
      return Buffer.concat([head, Buffer.alloc(rng.between(1, 300), rng.between(0, 255)), tail])
    default: {
      const changed = Buffer.from(bytes)
      if (at < changed.length) changed[at] = (changed[at] ?? 0) ^ (1 << rng.between(0, 7))
      return changed
    }
  }
}
