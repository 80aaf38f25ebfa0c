import { spawn } from 'node:child_process'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'

/** Something that must not outlive this process. */
export type Charge = { readonly pid: number; readonly signal: NodeJS.Signals } | { readonly folder: string }

/**
 * Ends what is left once its standard input closes. It runs as a process of its own, because a test that is
 * killed runs no exit hook.
 */
const reaperProgram = `
const { rmSync } = require('node:fs')
const charges = new Map()
let rest = ''
process.stdin.setEncoding('utf8')
process.stdin.on('data', (chunk) => {
  const lines = (rest + chunk).split('\\n')
  rest = lines.pop()
  for (const line of lines) {
    const { id, charge } = JSON.parse(line)
    if (charge) charges.set(id, charge)
    else charges.delete(id)
  }
})
process.stdin.on('end', () => {
  const left = [...charges.values()]
  const pids = left.flatMap((charge) => charge.pid ?? [])
  for (const { pid, signal } of left) if (pid) send(pid, signal) && send(pid, 'SIGCONT')
  const deadlineAt = Date.now() + 8000
  const poll = setInterval(() => {
    if (pids.some((pid) => send(pid, 0)) && Date.now() < deadlineAt) return
    clearInterval(poll)
    for (const pid of pids) send(pid, 'SIGKILL')
    for (const { folder } of left) if (folder) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }, 20)
})
function send(pid, signal) {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}
`

let reports: Writable | undefined
let charged = 0

/** From now on `charge` ends with this process, however this process ends. The answer withdraws that. */
export function entrust(charge: Charge): () => void {
  const id = charged++
  report({ id, charge })
  return () => report({ id })
}

function report(message: { id: number; charge?: Charge }): void {
  reports ??= startReaper()
  reports.write(`${JSON.stringify(message)}\n`)
}

function startReaper(): Writable {
  // Detached: an interrupt from the keyboard reaches the whole group of this process, and must not reach the reaper.
  const reaper = spawn(process.execPath, ['-e', reaperProgram], {
    cwd: '/',
    detached: true,
    env: {},
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  reaper.unref()
  // A process that only waits for its servers may end.
  if (reaper.stdin instanceof Socket) reaper.stdin.unref()
  return reaper.stdin
}
