import { describeToken } from '@baton/core'
import { type Command, EXIT, type Surroundings, UsageError } from '../command.js'
import { configOf, secretsOf, STORE_OPTIONS } from '../settings.js'
import { iso, table } from '../table.js'

const MOST_BYTES = 16_384

export const inspect: Command = {
  name: 'inspect',
  about: 'Tells what a refresh token says of itself, offline; with secrets, also whether it is genuine',
  operands: '[token]   (better by stdin: arguments stay in the history of the shell)',
  mostOperands: 1,
  options: {
    'token-prefix': { type: 'string', value: 'text', about: 'how tokens begin; default brt_' },
    ...(STORE_OPTIONS['config'] === undefined ? {} : { config: STORE_OPTIONS['config'] }),
  },
  async run(input) {
    const { positionals, around, print } = input
    const [operand] = positionals
    const token = operand === undefined || operand === '-' ? await lineOf(around) : operand
    const config = await configOf(input)
    try {
      const secrets = (config.secrets ?? secretsOf(around) ?? []).filter((secret) => secret !== undefined)
      const tokenPrefix = input.text('token-prefix') ?? config.tokenPrefix ?? 'brt_'
      const described = describeToken(token, { secrets, tokenPrefix })
      if (described === null) {
        print({
          json: null,
          text: 'This is no refresh token of Baton: its beginning, length or spelling is another.\n',
        })
        return EXIT.no
      }
      const { familyId, generation, createdAt, bound, keyId, authentic } = described
      print({
        json: { ...described, createdAt: iso(createdAt) },
        text: table([
          ['family', familyId],
          ['generation', String(generation)],
          ['family began', iso(createdAt)],
          ['needs proof of a key', bound ? 'yes' : 'no'],
          ['made under key', keyId],
          ['genuine', GENUINE[String(authentic) as keyof typeof GENUINE]],
        ]),
      })
      return authentic === false ? EXIT.no : EXIT.ok
    } finally {
      await config.close?.()
    }
  },
}

const GENUINE = {
  true: 'yes',
  false: 'no, or made under a secret that is not among these',
  null: 'unknown: set BATON_SECRET to find out',
}

async function lineOf({ stdin, stderr }: Surroundings): Promise<string> {
  if (stdin.isTTY === true) stderr.write('Paste the token, then press Enter and Ctrl-D:\n')
  let text = ''
  for await (const chunk of stdin) {
    text += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8')
    if (text.length > MOST_BYTES) break
  }
  const token = text.trim()
  if (token === '') throw new UsageError('no token: give it by stdin, such as: pbpaste | baton inspect')
  return token
}
