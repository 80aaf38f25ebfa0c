import { randomUUID } from 'node:crypto'
import { type RefreshTokens, StoreError } from '@baton/core'

/** Starts sessions, each with the Idempotency-Key of its next refresh. */
export const issueMany = (tokens: RefreshTokens, many: number) =>
  Promise.all(
    Array.from({ length: many }, async (_, index) => ({
      refreshToken: (await tokens.issue({ subject: `user-${String(index)}` })).refreshToken,
      idempotencyKey: randomUUID(),
    })),
  )

export type Session = Awaited<ReturnType<typeof issueMany>>[number]

/** One refresh of an honest client, which keeps its attempt until an answer comes. Returns how it went. */
export async function refresh(tokens: RefreshTokens, session: Session): Promise<string> {
  try {
    const answer = await tokens.rotate({ ...session })
    if (!answer.ok) return answer.reason
    session.refreshToken = answer.refreshToken
    session.idempotencyKey = randomUUID()
    return answer.outcome
  } catch (error) {
    // Anything else is a defect, and fails the test.
    if (error instanceof StoreError) return error.code
    throw error
  }
}

/** Honest clients that refresh without end. `stop` resolves with how often each thing happened. */
export function load(tokens: RefreshTokens, sessions: readonly Session[]) {
  let stopped = false
  const counts: Record<string, number> = {}
  const running = sessions.map(async (session) => {
    while (!stopped) {
      const outcome = await refresh(tokens, session)
      counts[outcome] = (counts[outcome] ?? 0) + 1
    }
  })
  return {
    counts,
    stop: async () => {
      stopped = true
      await Promise.all(running)
      return counts
    },
  }
}
