import { type Command, EXIT, type Input, UsageError } from '../command.js'
import { type Opened, STORE_OPTIONS, withStore } from '../settings.js'

export const revoke: Command = {
  name: 'revoke',
  about: 'Ends one session, or all of a subject',
  operands: '<family> | --subject <subject>',
  mostOperands: 1,
  options: {
    subject: { type: 'string', value: 'subject', about: 'ends all sessions of this subject' },
    except: { type: 'string', value: 'family', about: 'with --subject: all but this one' },
    'keep-offline': { type: 'boolean', about: 'with --subject: leaves offline_access sessions alone' },
    ...STORE_OPTIONS,
  },
  async run(input) {
    const [familyId] = input.positionals
    const subject = input.text('subject')
    if ((familyId === undefined) === (subject === undefined))
      throw new UsageError('what is to end? usage: baton revoke <family>, or baton revoke --subject <subject>')
    return withStore(input, (opened) =>
      subject === undefined ? endOne(input, opened, familyId ?? '') : endAll(input, opened, subject),
    )
  },
}

async function endOne({ print }: Input, { tokens }: Opened, familyId: string): Promise<number> {
  const outcome = await tokens.revoke({ familyId, reason: 'subject_request' })
  if (!outcome.ok) {
    print({ json: { ended: 0 }, text: 'There is no such session.\n' })
    return EXIT.no
  }
  const { ended, family } = outcome
  print({
    json: { ended: ended ? 1 : 0, subject: family.subject },
    text: ended ? `Ended a session of ${family.subject}.\n` : 'It had ended before.\n',
  })
  return EXIT.ok
}

async function endAll(input: Input, { tokens }: Opened, subject: string): Promise<number> {
  const except = input.text('except')
  const ended = await tokens.revokeSubject(subject, {
    keepOffline: input.has('keep-offline'),
    ...(except === undefined ? {} : { except }),
  })
  input.print({ json: { ended }, text: `Ended ${String(ended)} session${ended === 1 ? '' : 's'}.\n` })
  return EXIT.ok
}
