/** As it is now: apps replace timers in their tests, and what waits here has to be answered all the same. */
const { setImmediate } = globalThis

/** At most this many go in one statement, a few milliseconds; others get their turn in between. */
const MOST_TOGETHER = 128

interface Waiting<Asked, Answer> {
  readonly asked: Asked
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

/**
 * Hands what is asked for in one turn of the event loop to `run` together, which answers each in its place. Where several wait they
 * wait one turn more: while they are dealt with others arrive, and come along. One that is alone is not kept waiting.
 */
export function inGroups<Asked, Answer>(
  run: (group: readonly Asked[]) => Promise<readonly Answer[]>,
): (asked: Asked) => Promise<Answer> {
  let waiting: Waiting<Asked, Answer>[] = []

  function runNext(): void {
    const group = waiting.slice(0, MOST_TOGETHER)
    waiting = waiting.slice(MOST_TOGETHER)
    if (waiting.length > 0) setImmediate(runNext)
    run(group.map(({ asked }) => asked)).then(
      (answers) => {
        for (const [index, answer] of answers.entries()) group[index]?.resolve(answer)
      },
      (error: unknown) => {
        for (const { reject } of group) reject(error)
      },
    )
  }

  function runSoon(): void {
    if (waiting.length === 1) runNext()
    else setImmediate(runNext)
  }

  return (asked) =>
    new Promise((resolve, reject) => {
      if (waiting.push({ asked, resolve, reject }) === 1) setImmediate(runSoon)
    })
}
