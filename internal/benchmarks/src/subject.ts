import type { Server } from 'node:http'
import type { Target } from './orders.js'

/** A server under measurement, and the way to sign people in on it without going through its login pages. */
export interface Subject {
  readonly target: Target
  /** Refresh tokens of as many new sessions. */
  readonly issue: (count: number) => Promise<string[]>
}

/** Listens on a free port of loopback. */
export function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      if (address === null || typeof address === 'string') reject(new Error('there is no port'))
      else resolve(address.port)
    })
  })
}

export const PATH = '/oauth/token'
export const CLIENT_ID = 'bench'
export const FORM = `grant_type=refresh_token&client_id=${CLIENT_ID}&refresh_token=`

export function subjectOf(index: number): string {
  return `user-${String(index).padStart(8, '0')}`
}

const AT_ONCE = 200

/** Few enough at once for the patience of every engine. */
export async function inParallel<Answer>(count: number, run: (index: number) => Promise<Answer>): Promise<Answer[]> {
  const answers: Answer[] = []
  while (answers.length < count) {
    const first = answers.length
    const batch = Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, index) => run(first + index))
    answers.push(...(await Promise.all(batch)))
  }
  return answers
}
