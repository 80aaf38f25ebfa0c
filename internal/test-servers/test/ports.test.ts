import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { claimPort, freePort } from '../src/ports.js'

const HOLDER = `
  const socket = require('node:dgram').createSocket('udp4')
  socket.bind({ port: Number(process.argv[1]), address: '127.0.0.1', exclusive: true }, () => console.log('holds it'))
`

it('hands out no port a second time while its process lives', async () => {
  const ports = await Promise.all(Array.from({ length: 200 }, () => freePort()))

  expect(new Set(ports).size).toBe(200)
  for (const port of ports) expect(await claimPort(port)).toBe(false)
})

it('leaves a port to the other process that has claimed it, until that process is killed', async () => {
  let port = 19_999
  let holder = hold(port)
  // Somebody who has nothing to do with us may sit there.
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
