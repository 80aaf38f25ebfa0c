import type { Server } from 'node:http'
import type { Target } from './messages.js'

/** A server under measurement, with a function that creates sessions without its login pages. */
export interface Subject {
  readonly target: Target
  /** Creates sessions and returns their refresh tokens. */
  readonly issue: (count: number) => Promise<string[]>
}

/** Listens on a free port on the loopback interface. */
export function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      if (address === null || typeof address === 'string') reject(new Error('the server has no port'))
      else resolve(address.port)
    })
  })
}

export const PATH = '/oauth/token'
export const CLIENT_ID = 'bench'
export const FORM = `grant_type=refresh_token&client_id=${CLIENT_ID}&refresh_token=`

export function createSubjectName(index: number): string {
  return `user-${String(index).padStart(8, '0')}`
}

const CONCURRENCY = 200

/** Runs in batches, so that engines do not time out. */
export async function inParallel<Result>(count: number, run: (index: number) => Promise<Result>): Promise<Result[]> {
  const responses: Result[] = []
  while (responses.length < count) {
    const first = responses.length
    const batch = Array.from({ length: Math.min(CONCURRENCY, count - first) }, (_, index) => run(first + index))
    responses.push(...(await Promise.all(batch)))
  }
  return responses
}
