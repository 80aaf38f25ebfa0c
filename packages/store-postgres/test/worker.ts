import { createRefreshTokens, type RefreshTokens } from '@baton/core'
import pg from 'pg'
import { postgresStore } from '../src/index.js'
import { NOW, SECRET } from './fresh.js'

export type Order =
  | { readonly type: 'open'; readonly url: string; readonly schema: string }
  | { readonly type: 'issue'; readonly subject: string }
  | { readonly type: 'race'; readonly refreshToken: string; readonly callers: number }
  | { readonly type: 'go' }
  | { readonly type: 'rotate until death'; readonly refreshTokens: string[] }

export type Report =
  | { readonly type: 'done' }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'issued'; readonly refreshToken: string }
  /** All callers have read the record and none has swapped. */
  | { readonly type: 'at the barrier' }
  | { readonly type: 'raced'; readonly answers: { readonly outcome: string; readonly refreshToken: string }[] }
  | { readonly type: 'acknowledged'; readonly session: number; readonly refreshToken: string }

const pools = new Map<string, pg.Pool>()
let tokens: RefreshTokens
let passBarrier: () => void = () => undefined

async function open({ url, schema }: Extract<Order, { type: 'open' }>): Promise<void> {
  const pool = pools.get(url) ?? new pg.Pool({ connectionString: url })
  pools.set(url, pool)
  const store = postgresStore(pool, { schema })
  await store.migrate()
  tokens = createRefreshTokens({ store, secrets: [SECRET], now: () => NOW })
}

async function race(refreshToken: string, callers: number): Promise<void> {
  const barrier = new Promise<undefined>((resolve) => {
    passBarrier = () => resolve(undefined)
  })
  let arrived = 0
  // Core calls `prepare` between its read and its swap.
  const prepare = () => {
    arrived += 1
    if (arrived === callers) report({ type: 'at the barrier' })
    return barrier
  }
  const calls = Array.from({ length: callers }, () => tokens.rotate({ refreshToken, prepare }))
  const answers = (await Promise.all(calls)).map((answer) =>
    answer.ok ? answer : { outcome: answer.reason, refreshToken: '' },
  )
  report({ type: 'raced', answers: answers.map(({ outcome, refreshToken }) => ({ outcome, refreshToken })) })
}

async function rotateUntilDeath(refreshTokens: readonly string[]): Promise<void> {
  await Promise.all(
    refreshTokens.map(async (first, session) => {
      let refreshToken = first
      for (;;) {
        const answer = await tokens.rotate({ refreshToken })
        if (!answer.ok) throw new Error(`session ${String(session)} was refused: ${answer.reason}`)
        ;({ refreshToken } = answer)
        report({ type: 'acknowledged', session, refreshToken })
      }
    }),
  )
}

async function obey(order: Order): Promise<void> {
  switch (order.type) {
    case 'open':
      await open(order)
      report({ type: 'done' })
      break
    case 'issue':
      report({ type: 'issued', refreshToken: (await tokens.issue({ subject: order.subject })).refreshToken })
      break
    case 'race':
      await race(order.refreshToken, order.callers)
      break
    case 'go':
      passBarrier()
      break
    case 'rotate until death':
      await rotateUntilDeath(order.refreshTokens)
  }
}

function report(message: Report): void {
  process.send?.(message)
}

process.on('message', (order: Order) => {
  obey(order).catch((error: unknown) => report({ type: 'failed', message: String(error) }))
})
