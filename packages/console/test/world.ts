import { createRefreshTokens, type RefreshTokens } from '@baton/core'
import type { PlainRequest } from '@baton/http'
import { memoryStore } from '@baton/store-memory'
import {
  type ConsoleAction,
  consoleEndpoint,
  type ConsoleOptions,
  memoryEventLog,
  type MemoryEventLogOptions,
} from '../src/index.js'

export const NOW = Date.UTC(2030, 0, 15, 12)

/** Tokens over a store in memory, the console over them, and a clock that both read. */
export function world(options: Partial<ConsoleOptions> = {}, logOptions: MemoryEventLogOptions = {}) {
  const clock = { now: NOW }
  const now = () => clock.now
  const log = memoryEventLog({ now, ...logOptions })
  const actions: ConsoleAction[] = []
  const tokens = createRefreshTokens({
    store: memoryStore(),
    secrets: ['the secret of the console suite, 40 bytes'],
    onEvent: (event) => log.record(event),
    now,
  })
  const endpoint = consoleEndpoint(tokens, {
    authorize: () => 'olga',
    log,
    onAction: (action) => actions.push(action),
    now,
    ...options,
  })
  return { clock, log, actions, tokens, endpoint, ask: (members: object) => ask(endpoint, members) }
}

export function request(
  overrides: Partial<PlainRequest> = {},
  headers: Record<string, string | null> = {},
): PlainRequest {
  const all: Record<string, string | null> = { host: 'localhost', 'sec-fetch-site': 'same-origin', ...headers }
  return {
    method: 'GET',
    url: '/admin/sessions',
    headers: Object.fromEntries(
      Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [[name, [value]]])),
    ),
    body: { kind: 'parsed', value: undefined },
    remoteAddress: '127.0.0.1',
    encrypted: false,
    ...overrides,
  }
}

/** A request as the page makes it, but for what is overridden. */
export function question(members: unknown, headers: Record<string, string | null> = {}): PlainRequest {
  return request(
    { method: 'POST', body: { kind: 'parsed', value: members } },
    { 'content-type': 'application/json', 'x-baton': '1', ...headers },
  )
}

async function ask(endpoint: ReturnType<typeof consoleEndpoint>, members: object) {
  const { status, body } = await endpoint(question(members))
  return { status, body: JSON.parse(body ?? 'null') }
}

/** Alice's laptop with a retry, her tablet whose token was stolen, and her phone, just signed in. */
export async function tellStory(tokens: RefreshTokens) {
  const issue = (userAgent: string) => tokens.issue({ subject: 'alice', scope: 'read', metadata: { userAgent } })
  const rotate = async (refreshToken: string) => {
    const outcome = await tokens.rotate({ refreshToken })
    if (!outcome.ok) throw new Error(outcome.reason)
    return outcome.refreshToken
  }
  const laptop = await issue('Firefox on Linux')
  const second = await rotate(laptop.refreshToken)
  await rotate(laptop.refreshToken)
  await rotate(second)

  const tablet = await issue('Safari on iPad')
  await rotate(await rotate(await rotate(tablet.refreshToken)))
  await tokens.rotate({ refreshToken: tablet.refreshToken })

  const phone = await issue('<img src=x onerror=alert(1)>')
  return { laptop: laptop.family.id, tablet: tablet.family.id, phone: phone.family.id }
}
