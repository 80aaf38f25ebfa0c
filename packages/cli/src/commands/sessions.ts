import type { Family } from '@baton/core'
import { type Command, EXIT, UsageError } from '../command.js'
import { STORE_OPTIONS, withStore } from '../settings.js'
import { iso, table } from '../table.js'

const PAGE = 100

export const sessions: Command = {
  name: 'sessions',
  about: 'Lists the living sessions of a subject, newest first',
  operands: '<subject>',
  mostOperands: 1,
  options: STORE_OPTIONS,
  async run(input) {
    const [subject] = input.positionals
    if (subject === undefined) throw new UsageError('whose sessions? usage: baton sessions <subject>')
    const found = await withStore(input, async ({ tokens }) => {
      const families: Family[] = []
      let cursor: string | null = null
      do {
        const page: Awaited<ReturnType<typeof tokens.list>> = await tokens.list({
          subject,
          limit: PAGE,
          ...(cursor === null ? {} : { cursor }),
        })
        families.push(...page.items)
        cursor = page.cursor
      } while (cursor !== null)
      return families
    })
    const rows = found.map((family) => [
      family.id,
      family.clientId,
      String(family.generation),
      iso(family.createdAt),
      iso(family.lastUsedAt),
      iso(family.expiresAt),
      userAgentOf(family),
    ])
    const head = ['FAMILY', 'CLIENT', 'GENERATION', 'BEGAN', 'LAST USED', 'ENDS', 'USER AGENT']
    input.print({
      json: found.map((family) => ({
        ...family,
        createdAt: iso(family.createdAt),
        lastUsedAt: iso(family.lastUsedAt),
        expiresAt: iso(family.expiresAt),
        absoluteExpiresAt: iso(family.absoluteExpiresAt),
      })),
      text: rows.length === 0 ? 'No living session.\n' : table([head, ...rows]),
    })
    return EXIT.ok
  },
}

function userAgentOf({ metadata }: Family): string {
  const { userAgent } = metadata as { userAgent?: unknown }
  return typeof userAgent === 'string' ? userAgent : ''
}
