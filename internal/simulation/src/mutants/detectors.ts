import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Fault } from './faults.js'
import type { WorkingCopy } from './working-copy.js'

/** A program that may detect a fault. */
export interface Detector {
  readonly name: string
  detects(copy: WorkingCopy): Promise<boolean>
}

/** Longer than any of them takes on a busy machine. A longer run counts as a hang. */
const TIMEOUT_MS = 900_000

/** Ordered by duration. The model covers core only; neither the model nor the simulation uses a real store. */
export function createDetectors({ tests, file }: Fault): readonly Detector[] {
  const model = createDetector('model', 'tsx', ['internal/simulation/src/model/main.ts', '--states', '4000'])
  const simulation = createDetector('simulation', 'tsx', [
    'internal/simulation/src/simulate/main.ts',
    '--schedules',
    '300',
    '--workers',
    '1',
  ])
  const vitest = createDetector('tests', 'vitest', ['run', '--project', 'packages', '--bail', '1', ...tests])
  if (file.startsWith('packages/core/')) return [model, simulation, vitest]
  return file.startsWith('packages/store-') ? [vitest] : [simulation, vitest]
}

function createDetector(name: string, command: string, args: readonly string[]): Detector {
  return { name, detects: (copy) => fails(copy, command, args) }
}

/** Returns true if the command fails or hangs. */
function fails({ folder }: WorkingCopy, command: string, args: readonly string[]): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, BATON_TESTS: 'all' }
    const child = spawn(join(folder, 'node_modules', '.bin', command), args, { cwd: folder, env, stdio: 'ignore' })
    const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS)
    child.once('error', reject)
    child.once('exit', (code) => {
      clearTimeout(timer)
      resolve(code !== 0)
    })
  })
}
