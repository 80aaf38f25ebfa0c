import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** The process ids of the direct children of `pid`. */
export function childrenOf(pid: number): number[] {
  return processes()
    .filter((process) => process.parent === pid)
    .map((process) => process.pid)
}

/** A process that has ended and whose parent has not yet noticed holds nothing any more: it is gone. */
export function isGone(pid: number): boolean {
  return !processes().some((process) => process.pid === pid && process.state !== 'Z')
}

interface Process {
  readonly pid: number
  readonly parent: number
  readonly state: string
}

function processes(): Process[] {
  if (existsSync('/proc/self/stat')) return readdirSync('/proc').filter(isNumber).flatMap(fromProc)
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,state='], { encoding: 'utf8' }).trim().split('\n')
  return lines.map((line) => {
    const [pid = '', parent = '', state = ''] = line.trim().split(/\s+/)
    return { pid: Number(pid), parent: Number(parent), state: state.charAt(0) }
  })
}

function fromProc(name: string): Process[] {
  try {
    // "pid (program) state parent …": the program's name may hold anything, brackets too.
    const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
    const [state = '', parent = ''] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return [{ pid: Number(name), parent: Number(parent), state }]
  } catch {
    return []
  }
}

function isNumber(name: string): boolean {
  return /^\d+$/.test(name)
}
