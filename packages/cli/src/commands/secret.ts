import { randomBytes } from 'node:crypto'
import { type Command, EXIT, UsageError } from '../command.js'

/** 384 bits: more than 32 bytes, and a length without padding in base64. */
const BYTES = 48

export function generateSecret(): string {
  return randomBytes(BYTES).toString('base64url')
}

export const secret: Command = {
  name: 'secret',
  description: 'Generates a secret for BATON_SECRET, SIGNING_SECRET or CODE_SECRET; use a separate one for each',
  operands: '[variable]',
  maxOperands: 1,
  options: {
    env: { type: 'boolean', description: 'prints it as a line of an .env file; default variable BATON_SECRET' },
  },
  async run({ has, positionals, print }) {
    const [variable = 'BATON_SECRET'] = positionals
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable))
      throw new UsageError(`${JSON.stringify(variable)} is not a variable name; write it like SIGNING_SECRET`)
    const generated = generateSecret()
    print({ json: { secret: generated }, text: has('env') ? `${variable}=${generated}\n` : `${generated}\n` })
    return EXIT.ok
  },
}
