import { subscribe } from 'node:diagnostics_channel'
import type { Engine } from './engine.js'
import { openEngine } from './engine.js'
import type { ServerOrder, ServerReport } from './orders.js'
import type { Subject } from './subject.js'
import { startSubject } from './subjects/index.js'

let answers = 0
let spent = cpuMicros()

subscribe('http.server.response.finish', () => {
  answers += 1
})

function cpuMicros(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** Of one answer, since the last time that somebody asked. */
function cpuMicrosPerAnswer(): number {
  const now = cpuMicros()
  const each = (now - spent) / answers
  spent = now
  answers = 0
  return each
}

let running: { readonly engine: Engine; readonly subject: Subject } | undefined

async function obey(order: ServerOrder): Promise<ServerReport> {
  if (order.type === 'start') {
    const engine = await openEngine(order.row, order.engines)
    running = { engine, subject: await startSubject(order.row, engine) }
    return { type: 'listening', ...running.subject.target }
  }
  if (running === undefined) throw new Error('start comes first')
  const { engine, subject } = running
  switch (order.type) {
    case 'issue':
      return { type: 'issued', refreshTokens: await subject.issue(order.count) }
    case 'usage':
      return {
        type: 'used',
        cpuMicros: cpuMicrosPerAnswer(),
        residentBytes: process.memoryUsage.rss(),
        commands: engine.commands(),
      }
    case 'stored':
      return { type: 'stored', bytes: await engine.stored() }
  }
}

process.on('message', (order: ServerOrder) => {
  const failed = (error: unknown): ServerReport => ({ type: 'failed', message: String(error) })
  void obey(order)
    .catch(failed)
    .then((report) => process.send?.(report))
})
process.on('disconnect', () => process.exit())
