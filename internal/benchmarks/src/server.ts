import { subscribe } from 'node:diagnostics_channel'
import type { Engine } from './engine.js'
import { openEngine } from './engine.js'
import type { ServerRequest, ServerReport } from './messages.js'
import type { Subject } from './subject.js'
import { startSubject } from './subjects/index.js'

let responses = 0
let usedCpuMicros = cpuMicros()

subscribe('http.server.response.finish', () => {
  responses += 1
})

function cpuMicros(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** CPU time per response since the last call. */
function cpuMicrosPerResponse(): number {
  const now = cpuMicros()
  const each = (now - usedCpuMicros) / responses
  usedCpuMicros = now
  responses = 0
  return each
}

let running: { readonly engine: Engine; readonly subject: Subject } | undefined

async function handle(message: ServerRequest): Promise<ServerReport> {
  if (message.type === 'start') {
    const engine = await openEngine(message.row, message.engines)
    running = { engine, subject: await startSubject(message.row, engine) }
    return { type: 'listening', ...running.subject.target }
  }
  if (running === undefined) throw new Error('the first message must be "start"')
  const { engine, subject } = running
  switch (message.type) {
    case 'issue':
      return { type: 'issued', refreshTokens: await subject.issue(message.count) }
    case 'usage':
      return {
        type: 'used',
        cpuMicros: cpuMicrosPerResponse(),
        residentBytes: process.memoryUsage.rss(),
        commands: engine.commands(),
      }
    case 'stored':
      return { type: 'stored', bytes: await engine.stored() }
  }
}

process.on('message', (message: ServerRequest) => {
  const failed = (error: unknown): ServerReport => ({ type: 'failed', message: String(error) })
  void handle(message)
    .catch(failed)
    .then((report) => process.send?.(report))
})
process.on('disconnect', () => process.exit())
