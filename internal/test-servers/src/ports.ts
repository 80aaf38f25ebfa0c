import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** All servers of this package listen on this address only. */
export const loopback = '127.0.0.1'

/**
 * Returns a free loopback port. No other call of this function returns the same port, in any process, until this process ends. The port is
 * below the range for outgoing connections: it stays free during a restart, and a client that reconnects cannot connect to itself.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000)
    if ((await claimPort(port)) && (await isFree(port))) return port
  }
}

/**
 * Reserves a port for this process. Another process could otherwise find it before a server listens on it. The reservation is the UDP port
 * of the same number, which is not used otherwise. The system releases it when the process ends.
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
