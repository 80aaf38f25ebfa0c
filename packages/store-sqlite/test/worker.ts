import { createRefreshTokens, type RefreshTokens, type TokenStore } from '@baton/core'
import { sqliteStore } from '../src/index.js'
import { close, type Connection, drivers } from './drivers.js'
import { type Order, type Report, SECRET } from './orders.js'

let db: Connection
let store: TokenStore
let tokens: RefreshTokens
let closeLast: () => unknown = () => undefined
let passBarrier: () => void = () => undefined

function open({ driver: name, path, now }: Extract<Order, { type: 'open' }>): void {
  const driver = drivers.find((candidate) => candidate.name === name)
  if (driver === undefined) throw new Error(`no driver ${name}`)
  closeLast()
  db = driver.open(path)
  closeLast = () => close(db)
  store = sqliteStore(db)
  tokens = createRefreshTokens({ store, secrets: [SECRET], now: () => now })
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

async function rotateUntilDeath({ refreshTokens, death, after }: Extract<Order, { type: 'rotate until death' }>) {
  let left = after
  const die = () => {
    left -= 1
    if (left === 0) process.kill(process.pid, 'SIGKILL')
    return 0
  }
  if (death === 'in the statement') {
    db.function('die', die)
    db.exec('CREATE TEMP TRIGGER dying AFTER UPDATE ON baton_families BEGIN SELECT die(); END')
  }
  const held = [...refreshTokens]
  for (let turn = 0; ; turn += 1) {
    const session = turn % held.length
    const answer = await tokens.rotate({ refreshToken: held[session] ?? '' })
    if (!answer.ok) throw new Error(`session ${String(session)} was refused: ${answer.reason}`)
    if (death === 'before the answer') die()
    held[session] = answer.refreshToken
    report({ type: 'acknowledged', session, refreshToken: answer.refreshToken })
  }
}

async function call({ number, method, input }: Extract<Order, { type: 'call' }>): Promise<void> {
  try {
    const methods = store as unknown as Record<string, (...input: unknown[]) => Promise<unknown>>
    report({ type: 'answered', number, answer: await methods[method]!(...input) })
  } catch (error) {
    report({ type: 'refused', number, message: String(error) })
  }
}

async function obey(order: Order): Promise<void> {
  switch (order.type) {
    case 'open':
      open(order)
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
      await rotateUntilDeath(order)
      break
    case 'call':
      await call(order)
  }
}

function report(message: Report): void {
  process.send?.(message)
}

process.on('message', (order: Order) => {
  obey(order).catch((error: unknown) => report({ type: 'failed', message: String(error) }))
})
