import { type Family, ConfigurationError, type RefreshEvent, type RefreshTokens } from '@baton/core'
import type { EventLog } from './event-log.js'
import { historyOf } from './history.js'
import type { Answer } from './respond.js'

/** A revocation by an operator, for an audit log. */
export interface ConsoleAction {
  readonly operator: string
  /** Epoch milliseconds. */
  readonly at: number
  readonly action: 'revoke' | 'revoke_all'
  readonly subject: string
  /** The revoked family; null where all families of the subject were revoked. */
  readonly familyId: string | null
}

type Members = ReadonlyMap<string, unknown>

/** The largest numbers of active and of ended families in one response. */
const PAGE = 20
const MAX_ENDED = 20

interface ActionOptions {
  readonly log: EventLog
  /** Calls `onAction`. Never throws. */
  readonly observe: (action: ConsoleAction) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** Creates the actions that the page can request, by name. A revocation responds once the session has ended. */
export function createActions(
  tokens: RefreshTokens,
  { log, observe, now }: ActionOptions,
): (operator: string, members: Members) => Promise<Answer> {
  async function find(subject: string, cursor: unknown): Promise<Answer> {
    if (cursor !== undefined && (typeof cursor !== 'string' || cursor === '')) return unclear()
    const page = await tokens.list({ subject, limit: PAGE, ...(cursor === undefined ? {} : { cursor }) })
    const living = page.items.map(({ id }) => id)
    // Ended families are known from events only and are part of the first page.
    const ended = cursor === undefined ? await endedOf(subject, living) : []
    const events = groupByFamily(await log.eventsOf([...living, ...ended]))
    return {
      ok: true,
      body: {
        living: page.items.map((family) => ({ ...toSummary(family), history: historyOf(events.get(family.id) ?? []) })),
        ended: ended.map((id) => ({ id, history: historyOf(events.get(id) ?? []) })),
        cursor: page.cursor,
      },
    }
  }

  async function endedOf(subject: string, living: readonly string[]): Promise<string[]> {
    const known = (await log.familiesOf(subject)).filter((id) => !living.includes(id)).slice(0, MAX_ENDED)
    const found = await Promise.all(known.map((id) => tokens.find(id)))
    return known.filter((_, index) => found[index] === null)
  }

  async function revoke(operator: string, subject: string, familyId: unknown): Promise<Answer> {
    if (typeof familyId !== 'string') return unclear()
    const outcome = await tokens.revoke({ familyId, subject, reason: 'subject_request' })
    if (!outcome.ok) return { ok: false, status: 404, message: 'There is no such session any more.' }
    observe({ operator, at: now(), action: 'revoke', subject, familyId })
    return { ok: true, body: { ended: outcome.ended ? 1 : 0 } }
  }

  async function revokeAll(operator: string, subject: string): Promise<Answer> {
    const ended = await tokens.revokeSubject(subject)
    observe({ operator, at: now(), action: 'revoke_all', subject, familyId: null })
    return { ok: true, body: { ended } }
  }

  async function act(operator: string, subject: string, members: Members): Promise<Answer> {
    switch (members.get('action')) {
      case 'find':
        return find(subject, members.get('cursor'))
      case 'revoke':
        return revoke(operator, subject, members.get('familyId'))
      case 'revoke_all':
        return revokeAll(operator, subject)
      default:
        return unclear()
    }
  }

  return async (operator, members) => {
    if (members.get('action') === 'counts') return { ok: true, body: await log.counts() }
    const subject = members.get('subject')
    if (typeof subject !== 'string') return unclear()
    try {
      return await act(operator, subject, members)
    } catch (failure) {
      // Both options are members of the request.
      if (failure instanceof ConfigurationError && ['subject', 'cursor'].includes(failure.option)) return unclear()
      throw failure
    }
  }
}

function unclear(): Answer {
  return { ok: false, status: 400, message: 'This request is not understood. Load the page again.' }
}

function groupByFamily(events: readonly RefreshEvent[]): ReadonlyMap<string, readonly RefreshEvent[]> {
  const groups = new Map<string, RefreshEvent[]>()
  for (const event of events) {
    if (!('familyId' in event) || event.familyId === null) continue
    const group = groups.get(event.familyId)
    if (group === undefined) groups.set(event.familyId, [event])
    else group.push(event)
  }
  return groups
}

/** Returns the members of a family that are sent to the page. */
function toSummary(family: Family): object {
  const { id, generation, clientId, scope, offline, confirmation, metadata } = family
  const { createdAt, lastUsedAt, expiresAt, absoluteExpiresAt } = family
  const userAgent = metadata['userAgent']
  return {
    id,
    generation,
    clientId,
    scope,
    offline,
    isBound: confirmation !== null,
    createdAt,
    lastUsedAt,
    expiresAt,
    absoluteExpiresAt,
    device: typeof userAgent === 'string' ? userAgent : null,
  }
}
