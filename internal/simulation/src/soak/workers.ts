import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { freePort } from '@baton/test-servers'

/** A process of the service, restarted after each kill. */
export interface Worker {
  readonly port: number
  kill9(): Promise<void>
  /** Resolves to the memory usage in bytes; null without a response in time. */
  memory(): Promise<number | null>
  stop(): void
}

const RESPONSE_TIMEOUT_MS = 5000

export async function startWorker(nodes: readonly number[]): Promise<Worker> {
  const port = await freePort()
  let child = await spawn()

  async function spawn(): Promise<ChildProcess> {
    const program = fileURLToPath(new URL('./main.ts', import.meta.url))
    const started = fork(program, ['--worker', JSON.stringify({ port, nodes })])
    await once(started, 'message')
    return started
  }

  return {
    port,
    async kill9() {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
      child = await spawn()
    },
    async memory() {
      child.send('memory')
      const response = once(child, 'message', { signal: AbortSignal.timeout(RESPONSE_TIMEOUT_MS) })
      const [message] = (await response.catch(() => [null])) as [{ rss: number } | null]
      return message?.rss ?? null
    },
    stop() {
      child.kill('SIGKILL')
    },
  }
}
