import { spawn } from 'node:child_process'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'

/** A process or folder that must not remain after this process ends. */
export type Charge = { readonly pid: number; readonly signal: NodeJS.Signals } | { readonly folder: string }

/**
 * Ends the remaining processes and removes folders when its standard input closes. It is a separate process, because a killed test runs no
 * exit hook.
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

/** Ends `charge` when this process ends, even if it is killed. Returns a function that cancels this. */
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
  // Detached: an interrupt from the keyboard is sent to the whole process group and must not end the reaper.
  const reaper = spawn(process.execPath, ['-e', reaperProgram], {
    cwd: '/',
    detached: true,
    env: {},
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  reaper.unref()
  // The pipe must not keep this process running.
  if (reaper.stdin instanceof Socket) reaper.stdin.unref()
  return reaper.stdin
}
