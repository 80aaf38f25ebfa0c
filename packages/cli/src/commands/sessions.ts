import type { Family } from '@baton/core'
import { type Command, EXIT, UsageError } from '../command.js'
import { STORE_OPTIONS, withStore } from '../settings.js'
import { toIso, formatTable } from '../table.js'

const PAGE_SIZE = 100

export const sessions: Command = {
  name: 'sessions',
  description: 'Lists the active sessions of a subject, newest first',
  operands: '<subject>',
  maxOperands: 1,
  options: STORE_OPTIONS,
  async run(input) {
    const [subject] = input.positionals
    if (subject === undefined) throw new UsageError('name a subject; usage: baton sessions <subject>')
    const found = await withStore(input, async ({ tokens }) => {
      const families: Family[] = []
      let cursor: string | null = null
      do {
        const page: Awaited<ReturnType<typeof tokens.list>> = await tokens.list({
          subject,
          limit: PAGE_SIZE,
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
      toIso(family.createdAt),
      toIso(family.lastUsedAt),
      toIso(family.expiresAt),
      getUserAgent(family),
    ])
    const header = ['FAMILY', 'CLIENT', 'GENERATION', 'CREATED', 'LAST USED', 'EXPIRES', 'USER AGENT']
    input.print({
      json: found.map((family) => ({
        ...family,
        createdAt: toIso(family.createdAt),
        lastUsedAt: toIso(family.lastUsedAt),
        expiresAt: toIso(family.expiresAt),
        absoluteExpiresAt: toIso(family.absoluteExpiresAt),
      })),
      text: rows.length === 0 ? 'No active session.\n' : formatTable([header, ...rows]),
    })
    return EXIT.ok
  },
}

function getUserAgent({ metadata }: Family): string {
  const { userAgent } = metadata as { userAgent?: unknown }
  return typeof userAgent === 'string' ? userAgent : ''
}
