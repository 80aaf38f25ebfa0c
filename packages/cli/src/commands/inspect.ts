import { describeToken } from '@baton/core'
import { type Command, EXIT, type CommandContext, UsageError } from '../command.js'
import { loadConfig, readSecrets, STORE_OPTIONS } from '../settings.js'
import { toIso, formatTable } from '../table.js'

const MAX_BYTES = 16_384

export const inspect: Command = {
  name: 'inspect',
  description: 'Shows the content of a refresh token, offline; with secrets, also whether it is authentic',
  operands: '[token]   (prefer stdin: arguments are stored in the history of the shell)',
  maxOperands: 1,
  options: {
    'token-prefix': { type: 'string', value: 'text', description: 'prefix of tokens; default brt_' },
    ...(STORE_OPTIONS['config'] === undefined ? {} : { config: STORE_OPTIONS['config'] }),
  },
  async run(input) {
    const { positionals, context, print } = input
    const [operand] = positionals
    const token = operand === undefined || operand === '-' ? await readToken(context) : operand
    const config = await loadConfig(input)
    try {
      const secrets = (config.secrets ?? readSecrets(context) ?? []).filter((secret) => secret !== undefined)
      const tokenPrefix = input.text('token-prefix') ?? config.tokenPrefix ?? 'brt_'
      const described = describeToken(token, { secrets, tokenPrefix })
      if (described === null) {
        print({
          json: null,
          text: 'Not a refresh token of Baton: it has another prefix, length or format.\n',
        })
        return EXIT.negative
      }
      const { familyId, generation, createdAt, bound, keyId, authentic } = described
      print({
        json: { ...described, createdAt: toIso(createdAt) },
        text: formatTable([
          ['family', familyId],
          ['generation', String(generation)],
          ['created at', toIso(createdAt)],
          ['bound to a key', bound ? 'yes' : 'no'],
          ['key id', keyId],
          ['authentic', AUTHENTIC[String(authentic) as keyof typeof AUTHENTIC]],
        ]),
      })
      return authentic === false ? EXIT.negative : EXIT.ok
    } finally {
      await config.close?.()
    }
  },
}

const AUTHENTIC = {
  true: 'yes',
  false: 'no, or issued with another secret',
  null: 'unknown: set BATON_SECRET to find out',
}

async function readToken({ stdin, stderr }: CommandContext): Promise<string> {
  if (stdin.isTTY === true) stderr.write('Paste the token, then press Enter and Ctrl-D:\n')
  let text = ''
  for await (const chunk of stdin) {
    text += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8')
    if (text.length > MAX_BYTES) break
  }
  const token = text.trim()
  if (token === '') throw new UsageError('no token: pass it on stdin, for example: pbpaste | baton inspect')
  return token
}
