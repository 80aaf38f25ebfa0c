import type { Opening, Order, RaceAnswer, Report } from './orders.js'

/**
 * Makes this process a worker: it does what its parent tells it, with what `open` opens. Opening again replaces what was open.
 * `settings` are what the parent's `open` was given.
 */
export function serveTokens(open: (settings: never) => Promise<Opening>): void {
  let opened: Opening
  let passBarrier: () => void = () => undefined

  async function obey(order: Order): Promise<void> {
    switch (order.type) {
      case 'open':
        // Both ends are of one test: the parent gave what this worker's `open` takes.
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
    // Core calls `prepare` between its read and its swap.
    const prepare = () => {
      arrived += 1
      if (arrived === callers) report({ type: 'at the barrier' })
      return barrier
    }
    const compete = async (): Promise<RaceAnswer> => {
      const answer = await opened.tokens.rotate({ refreshToken, beforeCommit: prepare })
      return answer.ok
        ? { outcome: answer.outcome, refreshToken: answer.refreshToken }
        : { outcome: answer.reason, refreshToken: '' }
    }
    report({ type: 'raced', answers: await Promise.all(Array.from({ length: callers }, compete)) })
  }

  async function rotateUntilDeath(order: Extract<Order, { type: 'rotate until death' }>): Promise<void> {
    let left = order.rotations ?? Infinity
    const rotateForEver = async (first: string, session: number): Promise<never> => {
      let refreshToken = first
      for (;;) {
        const answer = await opened.tokens.rotate({ refreshToken })
        if (!answer.ok) throw new Error(`session ${String(session)} was refused: ${answer.reason}`)
        ;({ refreshToken } = answer)
        left -= 1
        if (left === 0) process.kill(process.pid, 'SIGKILL')
        report({ type: 'acknowledged', session, refreshToken })
      }
    }
    await Promise.all(order.refreshTokens.map(rotateForEver))
  }

  async function call({ number, method, input }: Extract<Order, { type: 'call' }>): Promise<void> {
    try {
      const methods = opened.store as unknown as Record<
        typeof method,
        (...input: readonly unknown[]) => Promise<unknown>
      >
      report({ type: 'answered', number, answer: await methods[method](...input) })
    } catch (error) {
      report({ type: 'refused', number, message: String(error) })
    }
  }

  process.on('message', (order: Order) => {
    obey(order).catch((error: unknown) => report({ type: 'failed', message: String(error) }))
  })
}

function report(message: Report): void {
  process.send?.(message)
}
