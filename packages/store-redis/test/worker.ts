import { createRefreshTokens, type RefreshTokens } from '@baton/core'
import { redisStore } from '../src/index.js'
import { singleDrivers } from './drivers.js'

export const SECRET = 'a secret of at least thirty-two bytes'

export type Order =
  | { readonly type: 'connect'; readonly driver: string; readonly url: string }
  /** All callers read the record, then say so and wait for `go` before they swap. */
  | { readonly type: 'race'; readonly refreshToken: string; readonly callers: number }
  | { readonly type: 'go' }
  | { readonly type: 'rotate until death'; readonly refreshTokens: readonly string[] }

export type Report =
  | { readonly type: 'connected' | 'at the barrier' }
  | { readonly type: 'raced'; readonly answers: readonly { readonly outcome: string; readonly refreshToken: string }[] }
  | { readonly type: 'acknowledged'; readonly session: number; readonly refreshToken: string }
  | { readonly type: 'failed'; readonly message: string }

let tokens: RefreshTokens
let passBarrier: () => void = () => undefined

const tell = (report: Report) => process.send?.(report)

async function obey(order: Order): Promise<void> {
  switch (order.type) {
    case 'connect': {
      const { client } = await singleDrivers[order.driver]!({ url: order.url })
      tokens = createRefreshTokens({ store: redisStore(client), secrets: [SECRET] })
      await tokens.find('a'.repeat(22))
      tell({ type: 'connected' })
      break
    }
    case 'race':
      await race(order.refreshToken, order.callers)
      break
    case 'go':
      passBarrier()
      break
    case 'rotate until death':
      await Promise.all(order.refreshTokens.map(rotateForEver))
  }
}

async function race(refreshToken: string, callers: number): Promise<void> {
  const barrier = new Promise<void>((resolve) => {
    passBarrier = resolve
  })
  let arrived = 0
  // Core calls `prepare` between its read and its swap.
  const prepare = () => {
    arrived += 1
    if (arrived === callers) tell({ type: 'at the barrier' })
    return barrier
  }
  const answers = await Promise.all(
    Array.from({ length: callers }, async () => {
      const answer = await tokens.rotate({ refreshToken, prepare })
      return answer.ok
        ? { outcome: answer.outcome, refreshToken: answer.refreshToken }
        : { outcome: answer.reason, refreshToken: '' }
    }),
  )
  tell({ type: 'raced', answers })
}

async function rotateForEver(refreshToken: string, session: number): Promise<void> {
  let held = refreshToken
  for (;;) {
    const answer = await tokens.rotate({ refreshToken: held })
    if (!answer.ok) throw new Error(`session ${String(session)} was refused: ${answer.reason}`)
    held = answer.refreshToken
    tell({ type: 'acknowledged', session, refreshToken: held })
  }
}

process.on('message', (order: Order) => {
  obey(order).catch((error: unknown) => tell({ type: 'failed', message: String(error) }))
})
