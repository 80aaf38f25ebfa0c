import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Nothing that this package starts listens anywhere else. */
export const loopback = '127.0.0.1'

/**
 * A loopback port on which nothing listens, and which no other call of this function answers with, in any process, until this
 * process ends. It lies below the ports that systems lend to outgoing connections: a server that restarts finds its port free,
 * and a client that reconnects cannot connect to itself.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000)
    if ((await claimPort(port)) && (await isFree(port))) return port
  }
}

/**
 * Between finding a port and listening on it another process may find it too. Whoever holds the UDP port of the same number,
 * which nobody needs, has the port; the system takes it back when the process ends, however it ends.
 */
export async function claimPort(port: number): Promise<boolean> {
  const socket = createSocket('udp4').unref()
  try {
    socket.bind({ port, address: loopback, exclusive: true })
    await once(socket, 'listening')
    return true
  } catch {
    socket.close()
    return false
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
