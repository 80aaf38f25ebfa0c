import type { Chances } from '../simulate/chances.js'

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

/** What becomes of an input that is well formed when somebody careless or malicious has had it. */
export function mutated(input: Uint8Array, others: readonly Uint8Array[], chances: Chances): Uint8Array {
  let bytes: Buffer = Buffer.from(input)
  for (let count = chances.between(1, 4); count > 0; count -= 1) bytes = mutatedOnce(bytes, others, chances)
  return bytes
}

function mutatedOnce(bytes: Buffer, others: readonly Uint8Array[], chances: Chances): Buffer {
  const at = chances.between(0, bytes.length)
  const to = chances.between(at, Math.min(bytes.length, at + 20))
  const [head, middle, tail] = [bytes.subarray(0, at), bytes.subarray(at, to), bytes.subarray(to)]
  switch (chances.between(0, 6)) {
    case 0:
      return Buffer.concat([head, tail])
    case 1:
      return Buffer.concat([head, middle, middle, tail])
    case 2:
      return Buffer.concat([head, Buffer.from(chances.oneOf(TOKENS as [string, ...string[]])), tail])
    case 3:
      return Buffer.concat([head, Buffer.from(chances.bytes(chances.between(1, 8))), tail])
    case 4:
      return Buffer.concat([head, (others[chances.between(0, others.length - 1)] ?? bytes).subarray(at)])
    case 5:
      return Buffer.concat([head, Buffer.alloc(chances.between(1, 300), chances.between(0, 255)), tail])
    default: {
      const changed = Buffer.from(bytes)
      if (at < changed.length) changed[at] = (changed[at] ?? 0) ^ (1 << chances.between(0, 7))
      return changed
    }
  }
}
