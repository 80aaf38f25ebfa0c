import type { Opening, Order, RaceAnswer, Report } from './orders.js'

/**
 * Makes this process a worker that executes the commands of its parent on the store of `open`. A second `open` replaces the store.
 * `settings` are the argument of the parent's `open`.
 */
export function serveTokens(open: (settings: never) => Promise<Opening>): void {
  let opened: Opening
  let passBarrier: () => void = () => undefined

  async function execute(order: Order): Promise<void> {
    switch (order.type) {
      case 'open':
        // Parent and worker belong to the same test, so the settings match the parameter of `open`.
        opened = await open(order.settings as never)
        report({ type: 'done' })
        break
      case 'issue':
        report({ type: 'issued', refreshToken: (await opened.tokens.issue({ subject: order.subject })).refreshToken })
        break
      case 'race':
        await race(order)
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

  async function race({ refreshToken, callers }: Extract<Order, { type: 'race' }>): Promise<void> {
    const barrier = new Promise<undefined>((resolve) => {
      passBarrier = () => resolve(undefined)
    })
    let arrived = 0
    // Core calls `beforeCommit` between its read and its swap.
    const waitAtBarrier = () => {
      arrived += 1
      if (arrived === callers) report({ type: 'at the barrier' })
      return barrier
    }
    const compete = async (): Promise<RaceAnswer> => {
      const outcome = await opened.tokens.rotate({ refreshToken, beforeCommit: waitAtBarrier })
      return outcome.ok
        ? { outcome: outcome.outcome, refreshToken: outcome.refreshToken }
        : { outcome: outcome.reason, refreshToken: '' }
    }
    report({ type: 'raced', answers: await Promise.all(Array.from({ length: callers }, compete)) })
  }

  async function rotateUntilDeath(order: Extract<Order, { type: 'rotate until death' }>): Promise<void> {
    let left = order.rotations ?? Infinity
    const rotateRepeatedly = async (first: string, session: number): Promise<never> => {
      let refreshToken = first
      for (;;) {
        const outcome = await opened.tokens.rotate({ refreshToken })
        if (!outcome.ok) throw new Error(`session ${String(session)} was rejected: ${outcome.reason}`)
        ;({ refreshToken } = outcome)
        left -= 1
        if (left === 0) process.kill(process.pid, 'SIGKILL')
        report({ type: 'acknowledged', session, refreshToken })
      }
    }
    await Promise.all(order.refreshTokens.map(rotateRepeatedly))
  }

  async function call({ number, method, input }: Extract<Order, { type: 'call' }>): Promise<void> {
    try {
      const methods = opened.store as unknown as Record<
        typeof method,
        (...input: readonly unknown[]) => Promise<unknown>
      >
      report({ type: 'resolved', number, result: await methods[method](...input) })
    } catch (error) {
      report({ type: 'rejected', number, message: String(error) })
    }
  }

  process.on('message', (order: Order) => {
    execute(order).catch((error: unknown) => report({ type: 'failed', message: String(error) }))
  })
}

function report(message: Report): void {
  process.send?.(message)
}
