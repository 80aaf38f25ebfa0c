import { randomBytes } from 'node:crypto'
import { type Command, EXIT } from '../command.js'

/** 384 bits: more than anybody needs, and a length that base64 spells without padding. */
const BYTES = 48

export function newSecret(): string {
  return randomBytes(BYTES).toString('base64url')
}

export const secret: Command = {
  name: 'secret',
  about: 'Makes a secret for BATON_SECRET',
  operands: '',
  mostOperands: 0,
  options: { env: { type: 'boolean', about: 'writes it as a line of an .env file' } },
  async run({ has, print }) {
    const made = newSecret()
    print({ json: { secret: made }, text: has('env') ? `BATON_SECRET=${made}\n` : `${made}\n` })
    return EXIT.ok
  },
}
