import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Nothing that this package starts listens anywhere else. */
export const loopback = '127.0.0.1'

/**
 * A loopback port on which nothing listens. It lies below the ports that systems lend to outgoing connections:
 * a server that restarts finds its port free, and a client that reconnects cannot connect to itself.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000)
    if (await isFree(port)) return port
  }
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer().listen(port, loopback)
  try {
    await once(probe, 'listening')
  } catch {
    return false
  }
  probe.close()
  await once(probe, 'close')
  return true
}
