import { randomBytes } from 'node:crypto'
import { type Command, EXIT, UsageError } from '../command.js'

/** 384 bits: more than anybody needs, and a length that base64 spells without padding. */
const BYTES = 48

export function newSecret(): string {
  return randomBytes(BYTES).toString('base64url')
}

export const secret: Command = {
  name: 'secret',
  about: 'Makes a secret for BATON_SECRET, SIGNING_SECRET or CODE_SECRET; each needs its own',
  operands: '[variable]',
  mostOperands: 1,
  options: { env: { type: 'boolean', about: 'writes it as a line of an .env file; default variable BATON_SECRET' } },
  async run({ has, positionals, print }) {
    const [variable = 'BATON_SECRET'] = positionals
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable))
      throw new UsageError(`${JSON.stringify(variable)} is no name of a variable; write it like SIGNING_SECRET`)
    const made = newSecret()
    print({ json: { secret: made }, text: has('env') ? `${variable}=${made}\n` : `${made}\n` })
    return EXIT.ok
  },
}
