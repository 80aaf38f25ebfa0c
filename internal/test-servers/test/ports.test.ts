import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { claimPort, freePort } from '../src/ports.js'

const HOLDER = `
  const socket = require('node:dgram').createSocket('udp4')
  socket.bind({ port: Number(process.argv[1]), address: '127.0.0.1', exclusive: true }, () => console.log('holds it'))
`

it('returns no port twice while the process runs', async () => {
  const ports = await Promise.all(Array.from({ length: 200 }, () => freePort()))

  expect(new Set(ports).size).toBe(200)
  for (const port of ports) expect(await claimPort(port)).toBe(false)
})

it('does not claim a port of another process until that process is killed', async () => {
  let port = 19_999
  let holder = hold(port)
  // An unrelated process may use this port.
  while (!(await holder.holds)) holder = hold(--port)

  expect(await claimPort(port)).toBe(false)
  holder.child.kill('SIGKILL')
  await once(holder.child, 'exit')
  expect(await claimPort(port)).toBe(true)
})

function hold(port: number) {
  const child = spawn(process.execPath, ['-e', HOLDER, String(port)], { stdio: ['ignore', 'pipe', 'ignore'] })
  const holds = Promise.race([once(child.stdout, 'data').then(() => true), once(child, 'exit').then(() => false)])
  return { child, holds }
}
