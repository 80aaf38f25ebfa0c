import { type Command, EXIT, type Input, UsageError } from '../command.js'
import { type OpenedStore, STORE_OPTIONS, withStore } from '../settings.js'

export const revoke: Command = {
  name: 'revoke',
  description: 'Ends one session, or all sessions of a subject',
  operands: '<family> | --subject <subject>',
  maxOperands: 1,
  options: {
    subject: { type: 'string', value: 'subject', description: 'ends all sessions of this subject' },
    except: { type: 'string', value: 'family', description: 'with --subject: all but this one' },
    'keep-offline': { type: 'boolean', description: 'with --subject: keeps offline_access sessions' },
    ...STORE_OPTIONS,
  },
  async run(input) {
    const [familyId] = input.positionals
    const subject = input.text('subject')
    if ((familyId === undefined) === (subject === undefined))
      throw new UsageError(
        'name a family or a subject; usage: baton revoke <family>, or baton revoke --subject <subject>',
      )
    return withStore(input, (opened) =>
      subject === undefined ? revokeOne(input, opened, familyId ?? '') : revokeAll(input, opened, subject),
    )
  },
}

async function revokeOne({ print }: Input, { tokens }: OpenedStore, familyId: string): Promise<number> {
  const outcome = await tokens.revoke({ familyId, reason: 'subject_request' })
  if (!outcome.ok) {
    print({ json: { ended: 0 }, text: 'There is no such session.\n' })
    return EXIT.negative
  }
  const { ended, family } = outcome
  print({
    json: { ended: ended ? 1 : 0, subject: family.subject },
    text: ended ? `Outcome a session of ${family.subject}.\n` : 'The session had already ended.\n',
  })
  return EXIT.ok
}

async function revokeAll(input: Input, { tokens }: OpenedStore, subject: string): Promise<number> {
  const except = input.text('except')
  const ended = await tokens.revokeSubject(subject, {
    keepOffline: input.has('keep-offline'),
    ...(except === undefined ? {} : { except }),
  })
  input.print({ json: { ended }, text: `Outcome ${String(ended)} session${ended === 1 ? '' : 's'}.\n` })
  return EXIT.ok
}
